using Grpc.Core;
using KdServing.Compat.Tests.Interop;

namespace KdServing.Compat.Tests;

/// <summary>Who cancels, and what the other end sees of it.</summary>
public sealed class CancellationTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task A_cancelled_call_is_cancelled_on_both_ends()
    {
        await using var server = await ScriptedServer.StartAsync();
        var (entered, cancelled) = Block(server);
        using var cancellation = new CancellationTokenSource();
        var failing = server.FailAsync(options: new CallOptions(cancellationToken: cancellation.Token));
        await entered.WaitAsync(Patience);
        await cancellation.CancelAsync();
        var failure = await failing;
        Assert.Equal((StatusCode.Cancelled, "Call canceled by the client."), (failure.StatusCode, failure.Status.Detail));
        await cancelled.WaitAsync(Patience);
        server.Server.Logs.AssertNoErrors();
    }

    [Fact]
    public async Task A_disposed_call_is_cancelled_on_both_ends()
    {
        await using var server = await ScriptedServer.StartAsync();
        var (entered, cancelled) = Block(server);
        var call = server.Client.UnaryCallAsync(new SimpleRequest());
        await entered.WaitAsync(Patience);
        call.Dispose();
        Assert.Equal(StatusCode.Cancelled, (await Assert.ThrowsAsync<RpcException>(() => call.ResponseAsync)).StatusCode);
        Assert.Equal("gRPC call disposed.", call.GetStatus().Detail);
        await cancelled.WaitAsync(Patience);
    }

    [Fact]
    public async Task A_disposed_channel_cancels_its_calls_and_takes_no_more()
    {
        await using var server = await ScriptedServer.StartAsync();
        var (entered, cancelled) = Block(server);
        var failing = server.FailAsync();
        await entered.WaitAsync(Patience);
        await server.Channel.ShutdownAsync();
        Assert.Equal(StatusCode.Cancelled, (await failing).StatusCode);
        await cancelled.WaitAsync(Patience);
        Assert.Equal(ConnectivityState.Shutdown, server.Channel.State);
        Assert.Throws<ObjectDisposedException>(() => { _ = server.Client.UnaryCallAsync(new SimpleRequest()); });
    }

    [Fact]
    public async Task A_token_that_is_cancelled_before_sends_nothing()
    {
        await using var server = await ScriptedServer.StartAsync();
        var (entered, _) = Block(server);
        var failure = await server.FailAsync(options: new CallOptions(cancellationToken: new CancellationToken(canceled: true)));
        Assert.Equal((StatusCode.Cancelled, false), (failure.StatusCode, entered.IsCompleted));
    }

    [Fact]
    public async Task A_read_that_is_cancelled_cancels_the_call()
    {
        await using var server = await ScriptedServer.StartAsync();
        var cancelled = new TaskCompletionSource();
        server.Duplex = async (_, responses, context) =>
        {
            await responses.WriteAsync(new StreamingOutputCallResponse());
            context.CancellationToken.Register(cancelled.SetResult);
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        };
        using var call = server.Client.FullDuplexCall();
        Assert.True(await call.ResponseStream.MoveNext(default));
        using var cancellation = new CancellationTokenSource();
        var reading = call.ResponseStream.MoveNext(cancellation.Token);
        await cancellation.CancelAsync();
        Assert.Equal(StatusCode.Cancelled, (await Assert.ThrowsAsync<RpcException>(() => reading)).StatusCode);
        await cancelled.Task.WaitAsync(Patience);
    }

    [Fact]
    public async Task A_channel_can_throw_the_exception_of_NET_instead()
    {
        await using var server = await ScriptedServer.StartAsync(configureChannel: options => options.ThrowOperationCanceledOnCancellation = true);
        var (entered, _) = Block(server);
        using var cancellation = new CancellationTokenSource();
        var call = server.Client.UnaryCallAsync(new SimpleRequest(), cancellationToken: cancellation.Token);
        await entered.WaitAsync(Patience);
        await cancellation.CancelAsync();
        var exception = await Assert.ThrowsAsync<OperationCanceledException>(() => call.ResponseAsync);
        Assert.Equal(StatusCode.Cancelled, Assert.IsType<RpcException>(exception.InnerException).StatusCode);

        server.Unary = (_, _) => throw new RpcException(new Status(StatusCode.Cancelled, "by the server"));
        Assert.Equal("by the server", (await server.FailAsync()).Status.Detail);
    }

    [Fact]
    public async Task A_handler_that_is_read_from_sees_the_cancellation()
    {
        await using var server = await ScriptedServer.StartAsync();
        var received = new TaskCompletionSource();
        var failed = new TaskCompletionSource<Exception>();
        server.ClientStreaming = async (requests, _) =>
        {
            Assert.True(await requests.MoveNext(default));
            received.SetResult();
            failed.SetResult(await Assert.ThrowsAnyAsync<Exception>(() => requests.MoveNext(default)));
            return new StreamingInputCallResponse();
        };
        using var call = server.Client.StreamingInputCall();
        await call.RequestStream.WriteAsync(new StreamingInputCallRequest());
        await received.Task.WaitAsync(Patience);
        call.Dispose();
        Assert.IsAssignableFrom<IOException>(await failed.Task.WaitAsync(Patience));
        server.Server.Logs.AssertNoErrors();
    }

    /// <summary>Lets the handler wait for its cancellation; the tasks end when it is entered and when it is cancelled.</summary>
    private static (Task Entered, Task Cancelled) Block(ScriptedServer server)
    {
        var entered = new TaskCompletionSource();
        var cancelled = new TaskCompletionSource();
        server.Unary = async (_, context) =>
        {
            context.CancellationToken.Register(cancelled.SetResult);
            entered.SetResult();
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
            return new SimpleResponse();
        };
        return (entered.Task, cancelled.Task);
    }
}
