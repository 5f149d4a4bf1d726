using System.Net;
using Google.Protobuf;
using Grpc.Core;
using KdServing.Compat.Tests.Interop;

namespace KdServing.Compat.Tests;

/// <summary>What no gRPC client sends, over plain HTTP/2.</summary>
public sealed class MalformedRequestTests : IAsyncLifetime
{
    private ScriptedServer _server = null!;
    private RawHttp2 _raw = null!;

    public async Task InitializeAsync()
    {
        _server = await ScriptedServer.StartAsync();
        _raw = new RawHttp2(_server.Server.Address);
    }

    public async Task DisposeAsync()
    {
        _raw.Dispose();
        await _server.DisposeAsync();
    }

    public static TheoryData<string, byte[], StatusCode, string> BadBodies => new()
    {
        { "no message", [], StatusCode.Internal, "Incomplete message." },
        { "half a header", [0, 0, 0], StatusCode.Internal, "Incomplete message." },
        { "half a message", RawHttp2.Frame([1, 2, 3], length: 10), StatusCode.Internal, "Incomplete message." },
        { "two messages", [.. RawHttp2.Frame([]), .. RawHttp2.Frame([])], StatusCode.Internal, "Additional data after the message received." },
        { "a byte too much", [.. RawHttp2.Frame([]), 7], StatusCode.Internal, "Additional data after the message received." },
        { "a flag of 2", RawHttp2.Frame([], flag: 2), StatusCode.Internal, "Unexpected compressed flag value in message header." },
        { "a length above the limit", RawHttp2.Frame([1], length: 4_194_305), StatusCode.ResourceExhausted, "Received message exceeds the maximum configured message size." },
        { "a length of 4 GiB", RawHttp2.Frame([1], length: uint.MaxValue), StatusCode.ResourceExhausted, "Received message exceeds the maximum configured message size." },
        { "no protobuf", RawHttp2.Frame([0xff, 0xff, 0xff]), StatusCode.Unknown, "Exception was thrown by handler." },
    };

    [Theory]
    [MemberData(nameof(BadBodies))]
    public async Task A_bad_body_is_refused(string what, byte[] body, StatusCode code, string message)
    {
        Assert.NotEmpty(what);
        var response = await _raw.PostAsync(RawHttp2.UnaryCall, body);
        Assert.Equal(HttpStatusCode.OK, response.Http.StatusCode);
        Assert.Equal(($"{(int)code}", message), (response.Status, response.Message));
        Assert.True(response.IsTrailersOnly);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("text/plain")]
    [InlineData("application/grpc-web")]
    [InlineData("application/json")]
    public async Task Another_content_type_is_refused(string? contentType)
    {
        var response = await _raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame([]), contentType);
        Assert.Equal((HttpStatusCode.UnsupportedMediaType, "13"), (response.Http.StatusCode, response.Status));
    }

    [Theory]
    [InlineData("application/grpc")]
    [InlineData("application/grpc+proto")]
    [InlineData("application/grpc; charset=utf-8")]
    public async Task These_content_types_are_gRPC(string contentType)
    {
        var response = await _raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame([]), contentType);
        Assert.Equal("0", response.Status);
        Assert.Equal("application/grpc", response.Http.Content.Headers.ContentType?.MediaType);
    }

    [Theory]
    [InlineData("/grpc.testing.TestService/NoSuchMethod", "Method is unimplemented.")]
    [InlineData("/no.such.Service/Method", "Service is unimplemented.")]
    public async Task What_is_not_mapped_is_unimplemented(string path, string message)
    {
        var response = await _raw.PostAsync(path, RawHttp2.Frame([]));
        Assert.Equal(("12", message), (response.Status, response.Message));
    }

    [Fact]
    public async Task An_unknown_path_that_is_not_gRPC_stays_404()
    {
        var response = await _raw.PostAsync("/no.such.Service/Method", [], "application/json");
        Assert.Equal((HttpStatusCode.NotFound, null), (response.Http.StatusCode, response.Status));
    }

    [Theory]
    [InlineData("qqq=", "qqqq")]
    [InlineData("q6s=", "q6s")]
    [InlineData("q6urqw==", "q6urqw")]
    public async Task Binary_metadata_may_be_padded_joined_and_repeated(string first, string second)
    {
        IReadOnlyList<byte[]> received = [];
        _server.Unary = (_, context) =>
        {
            received = [.. context.RequestHeaders.GetAll("trace-bin").Select(entry => entry.ValueBytes)];
            return Task.FromResult(new SimpleResponse());
        };
        var response = await _raw.PostAsync(
            RawHttp2.UnaryCall, RawHttp2.Frame([]), headers: [("trace-bin", $"{first},{second}"), ("trace-bin", second)]);
        Assert.Equal("0", response.Status);
        Assert.Equal([Decode(first), Decode(second), Decode(second)], received);

        static byte[] Decode(string value) => Convert.FromBase64String(value.TrimEnd('=').PadRight((value.TrimEnd('=').Length + 3) / 4 * 4, '='));
    }

    [Fact]
    public async Task Binary_metadata_that_is_not_base64_is_refused()
    {
        _server.Unary = (_, context) => Task.FromResult(new SimpleResponse { Payload = new Payload { Body = ByteString.CopyFrom(context.RequestHeaders.GetValueBytes("trace-bin")) } });
        var response = await _raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame([]), headers: ("trace-bin", "!!"));
        Assert.Equal("13", response.Status);
        Assert.Contains("trace-bin", response.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("100")]
    [InlineData("m")]
    [InlineData("-5S")]
    [InlineData("123456789S")]
    [InlineData("5x")]
    public async Task A_timeout_that_is_not_valid_is_no_deadline(string timeout)
    {
        DateTime? deadline = null;
        _server.Unary = (_, context) =>
        {
            deadline = context.Deadline;
            return Task.FromResult(new SimpleResponse());
        };
        Assert.Equal("0", (await _raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame([]), headers: ("grpc-timeout", timeout))).Status);
        Assert.Equal(DateTime.MaxValue, deadline);
    }

    [Fact]
    public async Task A_server_survives_them_all()
    {
        var random = new Random(20261120);
        for (var i = 0; i < 300; i++)
        {
            var body = new byte[random.Next(0, 64)];
            random.NextBytes(body);
            if (body.Length > 5 && i % 2 == 0)
                body[0] = body[1] = body[2] = body[3] = 0;
            Assert.NotNull((await _raw.PostAsync(RawHttp2.UnaryCall, body)).Status);
        }

        Assert.Equal(new SimpleResponse(), await _server.Client.UnaryCallAsync(new SimpleRequest()));
    }
}
