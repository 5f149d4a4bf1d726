using Google.Protobuf;
using Grpc.Core;
using KdServing.Compat.Tests.Interop;

namespace KdServing.Compat.Tests;

/// <summary>What a client sees of a handler that does not answer as it should.</summary>
public sealed class HandlerFailureTests
{
    [Fact]
    public async Task An_exception_is_unknown_and_says_nothing_of_itself()
    {
        await using var server = await ScriptedServer.StartAsync();
        server.Unary = (_, _) => throw new FormatException("secret");
        var failure = await server.FailAsync();
        Assert.Equal((StatusCode.Unknown, "Exception was thrown by handler."), (failure.StatusCode, failure.Status.Detail));
        Assert.IsType<FormatException>(Assert.Single(server.Server.Logs.Errors).Exception);
    }

    [Fact]
    public async Task Detailed_errors_add_type_and_message()
    {
        await using var server = await ScriptedServer.StartAsync(options => options.EnableDetailedErrors = true);
        server.Unary = (_, _) => throw new FormatException("what is wrong");
        var failure = await server.FailAsync();
        Assert.Equal("Exception was thrown by handler. FormatException: what is wrong", failure.Status.Detail);
    }

    [Fact]
    public async Task No_message_is_cancelled()
    {
        await using var server = await ScriptedServer.StartAsync();
        server.Unary = (_, _) => Task.FromResult<SimpleResponse>(null!);
        var failure = await server.FailAsync();
        Assert.Equal((StatusCode.Cancelled, "No message returned from method."), (failure.StatusCode, failure.Status.Detail));
    }

    [Fact]
    public async Task A_status_beside_a_message_sends_both_and_the_client_throws()
    {
        await using var server = await ScriptedServer.StartAsync();
        server.Unary = (_, context) =>
        {
            context.Status = new Status(StatusCode.Aborted, "half done");
            return Task.FromResult(new SimpleResponse { Payload = new Payload() });
        };
        var failure = await server.FailAsync();
        Assert.Equal((StatusCode.Aborted, "half done"), (failure.StatusCode, failure.Status.Detail));

        using var raw = new RawHttp2(server.Server.Address);
        var response = await raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame([]));
        Assert.Equal(RawHttp2.Frame(new SimpleResponse { Payload = new Payload() }.ToByteArray()), response.Body);
        Assert.Equal(("10", false), (response.Status, response.IsTrailersOnly));
    }

    [Fact]
    public async Task A_failure_before_the_first_message_is_trailers_only()
    {
        await using var server = await ScriptedServer.StartAsync();
        server.Unary = (_, context) =>
        {
            context.ResponseTrailers.Add("from-context", "1");
            throw new RpcException(new Status(StatusCode.NotFound, "no such thing"), new Metadata { { "from-exception", "2" } });
        };
        using var raw = new RawHttp2(server.Server.Address);
        var response = await raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame([]));
        Assert.True(response.IsTrailersOnly);
        Assert.Equal(("5", "1", "2"), (response.Status, response.Find("from-context"), response.Find("from-exception")));

        var failure = await server.FailAsync();
        Assert.Equal(("1", "2"), (failure.Trailers.GetValue("from-context"), failure.Trailers.GetValue("from-exception")));
    }

    [Fact]
    public async Task A_stream_that_fails_after_a_message_ends_with_trailers()
    {
        await using var server = await ScriptedServer.StartAsync();
        server.ServerStreaming = async (_, responses, _) =>
        {
            await responses.WriteAsync(new StreamingOutputCallResponse { Payload = new Payload() });
            throw new RpcException(new Status(StatusCode.DataLoss, "the rest is gone"), new Metadata { { "after", "1" } });
        };
        using var call = server.Client.StreamingOutputCall(new StreamingOutputCallRequest());
        Assert.True(await call.ResponseStream.MoveNext(default));
        var failure = await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(default));
        Assert.Equal((StatusCode.DataLoss, "1"), (failure.StatusCode, failure.Trailers.GetValue("after")));
        Assert.Equal(StatusCode.DataLoss, call.GetStatus().StatusCode);
        Assert.Equal("1", call.GetTrailers().GetValue("after"));
    }

    [Fact]
    public async Task A_trailer_that_can_not_travel_is_reported()
    {
        await using var server = await ScriptedServer.StartAsync();
        server.Unary = (_, context) =>
        {
            context.ResponseTrailers.Add("city", "Z\u00fcrich\u2603");
            return Task.FromResult(new SimpleResponse());
        };
        var failure = await server.FailAsync();
        Assert.Equal(StatusCode.Internal, failure.StatusCode);
        Assert.StartsWith("A response trailer is not valid", failure.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_detail_travels_percent_encoded()
    {
        await using var server = await ScriptedServer.StartAsync();
        server.Unary = (_, _) => throw new RpcException(new Status(StatusCode.OutOfRange, "100 % \u263A\n"));
        using var raw = new RawHttp2(server.Server.Address);
        var response = await raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame([]));
        Assert.Equal("100 %25 %E2%98%BA%0A", response.Message);
        Assert.Equal("100 % \u263A\n", (await server.FailAsync()).Status.Detail);
    }
}
