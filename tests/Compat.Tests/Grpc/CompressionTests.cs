using Google.Protobuf;
using Grpc.Core;
using KdServing.Compat.Tests.Interop;

namespace KdServing.Compat.Tests;

/// <summary>Compressed messages, from peers that mean well and from others.</summary>
public sealed class CompressionTests
{
    private static readonly byte[] Request = new SimpleRequest { Payload = new Payload { Body = ByteString.CopyFrom(new byte[10_000]) } }.ToByteArray();

    [Theory]
    [InlineData("gzip")]
    [InlineData("deflate")]
    public async Task The_server_reads_what_a_client_compressed(string encoding)
    {
        await using var server = await StartEchoAsync();
        var headers = new Metadata { { "grpc-internal-encoding-request", encoding } };
        string? travelled = null;
        server.Unary = (request, context) =>
        {
            travelled = context.RequestHeaders.GetValue("grpc-encoding");
            Assert.Null(context.RequestHeaders.Get("grpc-internal-encoding-request"));
            return Task.FromResult(new SimpleResponse { Payload = request.Payload });
        };
        var request = SimpleRequest.Parser.ParseFrom(Request);
        Assert.Equal(request.Payload, (await server.Client.UnaryCallAsync(request, headers)).Payload);
        Assert.Equal(encoding, travelled);
    }

    [Fact]
    public async Task The_server_compresses_only_when_told_to_and_asked_to()
    {
        await using var server = await StartEchoAsync();
        using var raw = new RawHttp2(server.Server.Address);
        Assert.Equal(0, (await raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame(Request), headers: ("grpc-accept-encoding", "gzip"))).Body[0]);

        await using var compressing = await StartEchoAsync(options => options.ResponseCompressionAlgorithm = "gzip");
        using var rawCompressing = new RawHttp2(compressing.Server.Address);
        var unasked = await rawCompressing.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame(Request));
        Assert.Equal((0, null), (unasked.Body[0], unasked.Find("grpc-encoding")));
        var asked = await rawCompressing.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame(Request), headers: ("grpc-accept-encoding", "identity, gzip"));
        Assert.Equal((1, "gzip"), (asked.Body[0], asked.Find("grpc-encoding")));
        Assert.InRange(asked.Body.Length, 6, 1_000);
        Assert.Equal("identity,gzip,deflate", asked.Find("grpc-accept-encoding"));
    }

    [Fact]
    public async Task A_handler_can_leave_a_message_uncompressed()
    {
        await using var server = await StartEchoAsync(options => options.ResponseCompressionAlgorithm = "gzip");
        server.Unary = (request, context) =>
        {
            context.WriteOptions = new WriteOptions(WriteFlags.NoCompress);
            return Task.FromResult(new SimpleResponse { Payload = request.Payload });
        };
        using var raw = new RawHttp2(server.Server.Address);
        Assert.Equal(0, (await raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame(Request), headers: ("grpc-accept-encoding", "gzip"))).Body[0]);
    }

    [Theory]
    [InlineData("br", 12, "Unsupported grpc-encoding value 'br'. Supported encodings: identity,gzip,deflate")]
    [InlineData("identity", 13, "A compressed message arrived under the grpc-encoding 'identity'.")]
    [InlineData("gzip", 13, "A message does not decompress as gzip.")]
    public async Task What_does_not_decompress_is_refused(string encoding, int code, string message)
    {
        await using var server = await StartEchoAsync();
        using var raw = new RawHttp2(server.Server.Address);
        var response = await raw.PostAsync(RawHttp2.UnaryCall, RawHttp2.Frame([1, 2, 3], flag: 1), headers: ("grpc-encoding", encoding));
        Assert.Equal(($"{code}", message), (response.Status, response.Message));
    }

    [Fact]
    public async Task An_algorithm_without_a_provider_is_refused_at_start()
    {
        var exception = await Assert.ThrowsAsync<InvalidOperationException>(
            () => ScriptedServer.StartAsync(options => options.ResponseCompressionAlgorithm = "zstd"));
        Assert.Contains("zstd", exception.Message, StringComparison.Ordinal);

        await using var server = await StartEchoAsync();
        var headers = new Metadata { { "grpc-internal-encoding-request", "zstd" } };
        Assert.Throws<InvalidOperationException>(() => { _ = server.Client.UnaryCallAsync(new SimpleRequest(), headers); });
    }

    private static async Task<ScriptedServer> StartEchoAsync(Action<global::Grpc.AspNetCore.Server.GrpcServiceOptions>? configure = null)
    {
        var server = await ScriptedServer.StartAsync(configure);
        server.Unary = (request, _) => Task.FromResult(new SimpleResponse { Payload = request.Payload });
        return server;
    }
}
