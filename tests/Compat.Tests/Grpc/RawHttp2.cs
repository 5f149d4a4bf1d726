using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Headers;

namespace KdServing.Compat.Tests;

/// <summary>A client that knows HTTP/2 and not gRPC, to send what no gRPC client would.</summary>
internal sealed class RawHttp2(Uri server) : IDisposable
{
    public const string UnaryCall = "/grpc.testing.TestService/UnaryCall";

    private readonly HttpClient _http = new() { BaseAddress = server };

    /// <summary>One message as it travels; the header may lie about the length.</summary>
    public static byte[] Frame(ReadOnlySpan<byte> payload, byte flag = 0, uint? length = null)
    {
        var frame = new byte[5 + payload.Length];
        frame[0] = flag;
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(1), length ?? (uint)payload.Length);
        payload.CopyTo(frame.AsSpan(5));
        return frame;
    }

    public async Task<RawResponse> PostAsync(
        string path, byte[] body, string? contentType = "application/grpc", params IEnumerable<(string Name, string Value)> headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(body),
        };
        request.Content.Headers.ContentType = contentType is null ? null : MediaTypeHeaderValue.Parse(contentType);
        foreach (var (name, value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        using var response = await _http.SendAsync(request);
        var content = await response.Content.ReadAsByteArrayAsync();
        return new RawResponse(response, content);
    }

    public void Dispose() => _http.Dispose();
}

/// <summary>A response as it came over HTTP/2.</summary>
internal sealed record RawResponse(HttpResponseMessage Http, byte[] Body)
{
    /// <summary>Whether the status came with the headers, before any body.</summary>
    public bool IsTrailersOnly => Http.Headers.Contains("grpc-status");

    public string? Status => Find("grpc-status");

    /// <summary>The text of the status as it travels.</summary>
    public string? Message => Find("grpc-message");

    public string? Find(string name) =>
        Http.Headers.TryGetValues(name, out var values) || Http.TrailingHeaders.TryGetValues(name, out values) ? string.Join("|", values) : null;
}
