using Google.Protobuf;
using Grpc.Core;
using KdServing.Compat.Tests.Interop;

namespace KdServing.Compat.Tests;

/// <summary>Limits of messages, on either side.</summary>
public sealed class MessageSizeTests
{
    private const int DefaultLimit = 4_194_304;
    private const string TooLargeToReceive = "Received message exceeds the maximum configured message size.";
    private const string TooLargeToSend = "Sending message exceeds the maximum configured message size.";

    [Theory]
    [InlineData(DefaultLimit, true)]
    [InlineData(DefaultLimit + 1, false)]
    public async Task The_server_takes_4_MiB_and_not_a_byte_more(int size, bool passes)
    {
        await using var server = await ScriptedServer.StartAsync();
        var request = RequestOf(size);
        if (passes)
            Assert.Equal(new SimpleResponse(), await server.Client.UnaryCallAsync(request));
        else
            AssertExhausted(TooLargeToReceive, await server.FailAsync(request));
    }

    [Theory]
    [InlineData(DefaultLimit, true)]
    [InlineData(DefaultLimit + 1, false)]
    public async Task The_client_takes_4_MiB_and_not_a_byte_more(int size, bool passes)
    {
        await using var server = await ScriptedServer.StartAsync();
        var response = new SimpleResponse { Payload = PayloadOf(size) };
        server.Unary = (_, _) => Task.FromResult(response);
        if (passes)
            Assert.Equal(response, await server.Client.UnaryCallAsync(new SimpleRequest()));
        else
            AssertExhausted(TooLargeToReceive, await server.FailAsync());
    }

    [Fact]
    public async Task Without_a_limit_Kestrels_own_does_not_interfere()
    {
        await using var server = await ScriptedServer.StartAsync(
            options => options.MaxReceiveMessageSize = null, options => options.MaxReceiveMessageSize = null);
        server.Unary = (request, _) => Task.FromResult(new SimpleResponse { Payload = request.Payload });
        var request = RequestOf(31_000_000);
        Assert.Equal(request.Payload, (await server.Client.UnaryCallAsync(request)).Payload);
    }

    [Fact]
    public async Task A_raised_limit_above_Kestrels_own_holds()
    {
        await using var server = await ScriptedServer.StartAsync(options => options.MaxReceiveMessageSize = 31_000_000);
        Assert.Equal(new SimpleResponse(), await server.Client.UnaryCallAsync(RequestOf(31_000_000)));
        AssertExhausted(TooLargeToReceive, await server.FailAsync(RequestOf(31_000_001)));
    }

    [Fact]
    public async Task Sending_can_be_limited_on_either_side()
    {
        await using var server = await ScriptedServer.StartAsync(
            options => options.MaxSendMessageSize = 100, options => options.MaxSendMessageSize = 1000);
        AssertExhausted(TooLargeToSend, await server.FailAsync(RequestOf(1001)));
        server.Unary = (_, _) => Task.FromResult(new SimpleResponse { Payload = PayloadOf(101) });
        AssertExhausted(TooLargeToSend, await server.FailAsync());
    }

    [Fact]
    public async Task A_stream_ends_at_the_first_message_above_the_limit()
    {
        await using var server = await ScriptedServer.StartAsync(options => options.MaxReceiveMessageSize = 1000);
        var received = 0;
        server.ClientStreaming = async (requests, _) =>
        {
            await foreach (var request in requests.ReadAllAsync())
                received++;
            return new StreamingInputCallResponse();
        };
        using var call = server.Client.StreamingInputCall();
        await call.RequestStream.WriteAsync(new StreamingInputCallRequest());
        await call.RequestStream.WriteAsync(new StreamingInputCallRequest { Payload = PayloadOf(2000) });
        AssertExhausted(TooLargeToReceive, await Assert.ThrowsAsync<RpcException>(() => call.ResponseAsync));
        Assert.Equal(1, received);
    }

    private static SimpleRequest RequestOf(int size) => new() { Payload = PayloadOf(size) };

    /// <summary>A payload that makes the message around it <paramref name="messageSize"/> bytes long.</summary>
    private static Payload PayloadOf(int messageSize)
    {
        var payload = new Payload { Body = ByteString.CopyFrom(new byte[messageSize]) };
        var excess = new SimpleResponse { Payload = payload }.CalculateSize() - messageSize;
        payload.Body = ByteString.CopyFrom(new byte[messageSize - excess]);
        Assert.InRange(messageSize - new SimpleResponse { Payload = payload }.CalculateSize(), 0, 2);
        while (new SimpleResponse { Payload = payload }.CalculateSize() < messageSize)
            payload.Body = ByteString.CopyFrom(new byte[payload.Body.Length + 1]);
        return payload;
    }

    private static void AssertExhausted(string detail, RpcException failure) =>
        Assert.Equal((StatusCode.ResourceExhausted, detail), (failure.StatusCode, failure.Status.Detail));
}
