using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using KdServing.Compat.Tests.Interop;

namespace KdServing.Compat.Tests.Peers;

/// <summary>
/// Our client's side of the official interoperability cases. Source: grpc/grpc, doc/interop-test-descriptions.md.
/// </summary>
internal sealed class InteropCases(GrpcChannel channel)
{
    private const string EchoInitial = "x-grpc-test-echo-initial";
    private const string EchoTrailing = "x-grpc-test-echo-trailing-bin";
    private static readonly (int Sent, int Wanted)[] Sizes = [(27182, 31415), (8, 9), (1828, 2653), (45904, 58979)];

    private readonly TestService.TestServiceClient _client = new(channel);

    public static IReadOnlyList<string> Names { get; } =
    [
        "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "cancel_after_begin",
        "cancel_after_first_response", "timeout_on_sleeping_server", "custom_metadata", "status_code_and_message",
        "special_status_message", "unimplemented_method", "unimplemented_service",
    ];

    public static IReadOnlyList<string> CompressionNames { get; } = ["client_compressed_unary", "server_compressed_unary"];

    public Task RunAsync(string name) => name switch
    {
        "empty_unary" => EmptyUnaryAsync(),
        "large_unary" => LargeUnaryAsync([], false),
        "client_compressed_unary" => LargeUnaryAsync(new Metadata { { "grpc-internal-encoding-request", "gzip" } }, false),
        "server_compressed_unary" => LargeUnaryAsync([], true),
        "client_streaming" => ClientStreamingAsync(),
        "server_streaming" => ServerStreamingAsync(),
        "ping_pong" => PingPongAsync(),
        "empty_stream" => EmptyStreamAsync(),
        "cancel_after_begin" => CancelAfterBeginAsync(),
        "cancel_after_first_response" => CancelAfterFirstResponseAsync(),
        "timeout_on_sleeping_server" => TimeoutOnSleepingServerAsync(),
        "custom_metadata" => CustomMetadataAsync(),
        "status_code_and_message" => StatusCodeAndMessageAsync("test status message"),
        "special_status_message" => StatusCodeAndMessageAsync("\t\ntest with whitespace\r\nand Unicode BMP \u263A and non-BMP \U0001F608\t\n"),
        "unimplemented_method" => ExpectAsync(StatusCode.Unimplemented, () => _client.UnimplementedCallAsync(new Empty()).ResponseAsync),
        "unimplemented_service" => ExpectAsync(
            StatusCode.Unimplemented,
            () => new UnimplementedService.UnimplementedServiceClient(channel).UnimplementedCallAsync(new Empty()).ResponseAsync),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "There is no such case."),
    };

    private static DateTime Soon => DateTime.UtcNow.AddSeconds(20);

    private static Payload Zeros(int size) => new() { Body = ByteString.CopyFrom(new byte[size]) };

    private static StreamingOutputCallRequest Ask(int sent, int wanted, int intervalUs = 0) => new()
    {
        Payload = Zeros(sent),
        ResponseParameters = { new ResponseParameters { Size = wanted, IntervalUs = intervalUs } },
    };

    private static async Task<RpcException> ExpectAsync(StatusCode code, Func<Task> call)
    {
        var exception = await Assert.ThrowsAsync<RpcException>(call);
        Assert.Equal(code, exception.StatusCode);
        return exception;
    }

    private async Task EmptyUnaryAsync() => Assert.Equal(new Empty(), await _client.EmptyCallAsync(new Empty(), deadline: Soon));

    private async Task LargeUnaryAsync(Metadata headers, bool asksForCompression)
    {
        var request = new SimpleRequest { ResponseSize = 314159, Payload = Zeros(271828) };
        if (asksForCompression)
            request.ResponseCompressed = new BoolValue { Value = true };
        var response = await _client.UnaryCallAsync(request, headers, Soon);
        Assert.Equal(Zeros(314159), response.Payload);
    }

    private async Task ClientStreamingAsync()
    {
        using var call = _client.StreamingInputCall(deadline: Soon);
        foreach (var (sent, _) in Sizes)
            await call.RequestStream.WriteAsync(new StreamingInputCallRequest { Payload = Zeros(sent) });
        await call.RequestStream.CompleteAsync();
        Assert.Equal(74922, (await call).AggregatedPayloadSize);
        Assert.Equal(StatusCode.OK, call.GetStatus().StatusCode);
    }

    private async Task ServerStreamingAsync()
    {
        var request = new StreamingOutputCallRequest();
        foreach (var (_, wanted) in Sizes)
            request.ResponseParameters.Add(new ResponseParameters { Size = wanted });
        using var call = _client.StreamingOutputCall(request, deadline: Soon);
        var received = new List<int>();
        await foreach (var response in call.ResponseStream.ReadAllAsync())
            received.Add(response.Payload.Body.Length);
        Assert.Equal(Sizes.Select(size => size.Wanted), received);
    }

    private async Task PingPongAsync()
    {
        using var call = _client.FullDuplexCall(deadline: Soon);
        foreach (var (sent, wanted) in Sizes)
        {
            await call.RequestStream.WriteAsync(Ask(sent, wanted));
            Assert.True(await call.ResponseStream.MoveNext(default));
            Assert.Equal(wanted, call.ResponseStream.Current.Payload.Body.Length);
        }

        await call.RequestStream.CompleteAsync();
        Assert.False(await call.ResponseStream.MoveNext(default));
    }

    private async Task EmptyStreamAsync()
    {
        using var call = _client.FullDuplexCall(deadline: Soon);
        await call.RequestStream.CompleteAsync();
        Assert.False(await call.ResponseStream.MoveNext(default));
        Assert.Equal(StatusCode.OK, call.GetStatus().StatusCode);
    }

    private async Task CancelAfterBeginAsync()
    {
        using var cancellation = new CancellationTokenSource();
        using var call = _client.StreamingInputCall(deadline: Soon, cancellationToken: cancellation.Token);
        await cancellation.CancelAsync();
        await ExpectAsync(StatusCode.Cancelled, () => call.ResponseAsync);
    }

    private async Task CancelAfterFirstResponseAsync()
    {
        using var cancellation = new CancellationTokenSource();
        using var call = _client.FullDuplexCall(deadline: Soon, cancellationToken: cancellation.Token);
        await call.RequestStream.WriteAsync(Ask(27182, 31415));
        Assert.True(await call.ResponseStream.MoveNext(default));
        await cancellation.CancelAsync();
        await ExpectAsync(StatusCode.Cancelled, () => call.ResponseStream.MoveNext(default));
    }

    private async Task TimeoutOnSleepingServerAsync()
    {
        using var call = _client.FullDuplexCall(deadline: DateTime.UtcNow.AddMilliseconds(20));
        try
        {
            await call.RequestStream.WriteAsync(Ask(27182, 31415, intervalUs: 2_000_000));
        }
        catch (RpcException)
        {
            // The deadline may pass before the request has left.
        }

        await ExpectAsync(StatusCode.DeadlineExceeded, () => call.ResponseStream.MoveNext(default));
    }

    private async Task CustomMetadataAsync()
    {
        var headers = new Metadata { { EchoInitial, "test_initial_metadata_value" }, { EchoTrailing, [0xab, 0xab, 0xab] } };
        using var unary = _client.UnaryCallAsync(new SimpleRequest(), headers, Soon);
        await unary;
        AssertEcho(await unary.ResponseHeadersAsync, unary.GetTrailers());

        using var duplex = _client.FullDuplexCall(headers, Soon);
        await duplex.RequestStream.WriteAsync(Ask(0, 5));
        await duplex.RequestStream.CompleteAsync();
        Assert.True(await duplex.ResponseStream.MoveNext(default));
        Assert.False(await duplex.ResponseStream.MoveNext(default));
        AssertEcho(await duplex.ResponseHeadersAsync, duplex.GetTrailers());

        static void AssertEcho(Metadata headers, Metadata trailers)
        {
            Assert.Equal("test_initial_metadata_value", headers.GetValue(EchoInitial));
            Assert.Equal([0xab, 0xab, 0xab], trailers.GetValueBytes(EchoTrailing));
        }
    }

    private async Task StatusCodeAndMessageAsync(string message)
    {
        var status = new EchoStatus { Code = (int)StatusCode.Unknown, Message = message };
        var unary = await ExpectAsync(
            StatusCode.Unknown, () => _client.UnaryCallAsync(new SimpleRequest { ResponseStatus = status }, deadline: Soon).ResponseAsync);
        Assert.Equal(message, unary.Status.Detail);

        using var call = _client.FullDuplexCall(deadline: Soon);
        await call.RequestStream.WriteAsync(new StreamingOutputCallRequest { ResponseStatus = status });
        await call.RequestStream.CompleteAsync();
        var duplex = await ExpectAsync(StatusCode.Unknown, () => call.ResponseStream.MoveNext(default));
        Assert.Equal(message, duplex.Status.Detail);
    }
}
