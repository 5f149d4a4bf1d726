using System.Diagnostics;
using Grpc.Core;
using KdServing.Compat.Tests.Interop;

namespace KdServing.Compat.Tests;

/// <summary>Deadlines, on both sides.</summary>
public sealed class DeadlineTests
{
    [Fact]
    public async Task The_server_answers_at_once_and_the_handler_goes_on()
    {
        await using var server = await ScriptedServer.StartAsync();
        var handlerToken = default(CancellationToken);
        var mayEnd = new TaskCompletionSource();
        var ended = new TaskCompletionSource();
        server.Unary = async (_, context) =>
        {
            handlerToken = context.CancellationToken;
            await mayEnd.Task;
            ended.SetResult();
            return new SimpleResponse();
        };
        using var raw = new RawHttp2(server.Server.Address);
        var response = await raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame([]), headers: ("grpc-timeout", "50m"));
        Assert.Equal(("4", "Deadline Exceeded"), (response.Status, response.Message));
        await WaitForCancellationAsync(handlerToken);
        mayEnd.SetResult();
        await ended.Task.WaitAsync(TimeSpan.FromSeconds(10));
        server.Unary = (_, _) => Task.FromResult(new SimpleResponse());
        Assert.Equal(new SimpleResponse(), await server.Client.UnaryCallAsync(new SimpleRequest()));
        server.Server.Logs.AssertNoErrors();
    }

    [Fact]
    public async Task A_stream_that_has_begun_ends_with_trailers()
    {
        await using var server = await ScriptedServer.StartAsync();
        server.ServerStreaming = async (_, responses, context) =>
        {
            await responses.WriteAsync(new StreamingOutputCallResponse());
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        };
        using var raw = new RawHttp2(server.Server.Address);
        var response = await raw.PostAsync("/grpc.testing.TestService/StreamingOutputCall", RawHttp2.Frame([]), headers: ("grpc-timeout", "100m"));
        Assert.Equal(RawHttp2.Frame([]), response.Body);
        Assert.Equal(("4", false), (response.Status, response.IsTrailersOnly));
    }

    [Fact]
    public async Task A_write_after_the_deadline_throws()
    {
        await using var server = await ScriptedServer.StartAsync();
        var failure = new TaskCompletionSource<Exception>();
        server.ServerStreaming = async (_, responses, context) =>
        {
            await WaitForCancellationAsync(context.CancellationToken);
            failure.SetResult(await Assert.ThrowsAsync<InvalidOperationException>(() => responses.WriteAsync(new StreamingOutputCallResponse())));
        };
        using var raw = new RawHttp2(server.Server.Address);
        await raw.PostAsync("/grpc.testing.TestService/StreamingOutputCall", RawHttp2.Frame([]), headers: ("grpc-timeout", "500m"));
        Assert.Contains("the call has ended", (await failure.Task.WaitAsync(TimeSpan.FromSeconds(10))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_handler_sees_when_the_client_gives_up()
    {
        await using var server = await ScriptedServer.StartAsync();
        var deadlines = new List<DateTime>();
        server.Unary = (_, context) =>
        {
            deadlines.Add(context.Deadline);
            return Task.FromResult(new SimpleResponse());
        };
        var deadline = DateTime.UtcNow.AddSeconds(30);
        await server.Client.UnaryCallAsync(new SimpleRequest(), deadline: deadline);
        await server.Client.UnaryCallAsync(new SimpleRequest());
        Assert.InRange(deadlines[0], deadline.AddMilliseconds(-1), deadline.AddSeconds(10));
        Assert.Equal((DateTimeKind.Utc, DateTime.MaxValue), (deadlines[0].Kind, deadlines[1]));
    }

    [Fact]
    public async Task The_client_gives_up_by_itself_and_without_a_detail()
    {
        await using var server = await ScriptedServer.StartAsync();
        server.ServerStreaming = (_, _, context) => Task.Delay(Timeout.Infinite, context.CancellationToken);
        var clock = Stopwatch.StartNew();
        using var call = server.Client.StreamingOutputCall(new StreamingOutputCallRequest(), deadline: DateTime.UtcNow.AddMilliseconds(100));
        var failure = await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(default));
        Assert.Equal(StatusCode.DeadlineExceeded, failure.StatusCode);
        Assert.InRange(clock.ElapsedMilliseconds, 80, 10_000);
    }

    [Fact]
    public async Task A_deadline_in_the_past_sends_nothing()
    {
        await using var server = await ScriptedServer.StartAsync();
        var calls = 0;
        server.Unary = (_, _) =>
        {
            Interlocked.Increment(ref calls);
            return Task.FromResult(new SimpleResponse());
        };
        var failure = await server.FailAsync(options: new CallOptions(deadline: DateTime.UtcNow.AddSeconds(-1)));
        Assert.Equal((StatusCode.DeadlineExceeded, "", 0), (failure.StatusCode, failure.Status.Detail, calls));
    }

    [Fact]
    public async Task A_deadline_that_is_not_UTC_is_refused()
    {
        await using var server = await ScriptedServer.StartAsync();
        Assert.Throws<InvalidOperationException>(() => { _ = server.Client.UnaryCallAsync(new SimpleRequest(), deadline: DateTime.Now.AddSeconds(1)); });
    }

    [Fact]
    public async Task Thousands_of_tiny_deadlines_leave_nothing_behind()
    {
        await using var server = await ScriptedServer.StartAsync();
        var running = 0;
        server.Unary = async (_, context) =>
        {
            Interlocked.Increment(ref running);
            try
            {
                await Task.Delay(2, context.CancellationToken);
                return new SimpleResponse();
            }
            finally
            {
                Interlocked.Decrement(ref running);
            }
        };
        await Parallel.ForEachAsync(Enumerable.Range(0, 3_000), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, _) =>
        {
            try
            {
                await server.Client.UnaryCallAsync(new SimpleRequest(), deadline: DateTime.UtcNow.AddMilliseconds(i % 5));
            }
            catch (RpcException exception)
            {
                // On a machine that is busy otherwise Kestrel may take so many resets for an attack, and say so.
                Assert.True(
                    exception.StatusCode is StatusCode.DeadlineExceeded or StatusCode.ResourceExhausted or StatusCode.Unavailable,
                    exception.ToString());
            }
        });
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref running) == 0, TimeSpan.FromSeconds(10)));
        Assert.Equal(new SimpleResponse(), await server.Client.UnaryCallAsync(new SimpleRequest()));
        server.Server.Logs.AssertNoErrors();
    }

    private static async Task WaitForCancellationAsync(CancellationToken token)
    {
        var cancelled = new TaskCompletionSource();
        await using var registration = token.Register(cancelled.SetResult);
        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(10));
    }
}
