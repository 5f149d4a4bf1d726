using System.Buffers;
using System.IO.Pipelines;
using Grpc.Core;
using Grpc.Net.Compression;

namespace Grpc.Net.Common;

/// <summary>The compression providers of one side, by name. Immutable.</summary>
internal sealed class MessageEncodings
{
    private const int ChunkSize = 16 * 1024;

    private readonly ICompressionProvider[] _providers;

    public MessageEncodings(IEnumerable<ICompressionProvider> providers)
    {
        _providers = [.. providers];
        AcceptEncoding = string.Join(',', _providers.Select(provider => provider.EncodingName).Prepend(GrpcProtocol.IdentityEncoding));
    }

    /// <summary>The value of <c>grpc-accept-encoding</c>.</summary>
    public string AcceptEncoding { get; }

    /// <summary>gzip and deflate, as both sides have by default.</summary>
    public static ICompressionProvider[] CreateDefault() =>
    [
        new GzipCompressionProvider(System.IO.Compression.CompressionLevel.Fastest),
        new DeflateCompressionProvider(System.IO.Compression.CompressionLevel.Fastest),
    ];

    public ICompressionProvider? Find(string? encoding)
    {
        foreach (var provider in _providers)
            if (string.Equals(provider.EncodingName, encoding, StringComparison.Ordinal))
                return provider;

        return null;
    }

    /// <summary>The provider for a compressed message that arrived under that <c>grpc-encoding</c>.</summary>
    /// <exception cref="RpcException">UNIMPLEMENTED for an encoding that is not here, INTERNAL where none was declared.</exception>
    public ICompressionProvider Require(string? encoding) =>
        encoding is null or "" or GrpcProtocol.IdentityEncoding
            ? throw new RpcException(new Status(
                StatusCode.Internal, $"A compressed message arrived under the grpc-encoding '{encoding ?? GrpcProtocol.IdentityEncoding}'."))
            : Find(encoding) ?? throw Unsupported(encoding);

    public RpcException Unsupported(string encoding) => new(new Status(
        StatusCode.Unimplemented, $"Unsupported grpc-encoding value '{encoding}'. Supported encodings: {AcceptEncoding}"));

    /// <summary>
    /// Inflates a message into <paramref name="output"/>, and stops as soon as it outgrows <paramref name="maxLength"/> bytes,
    /// so that a small bomb costs little.
    /// </summary>
    /// <exception cref="RpcException">RESOURCE_EXHAUSTED above the limit, INTERNAL for data that does not inflate.</exception>
    public static void Decompress(
        ICompressionProvider provider, in ReadOnlySequence<byte> compressed, int? maxLength, PooledBufferWriter output)
    {
        if (compressed.IsEmpty)
            return;

        using var source = PipeReader.Create(compressed).AsStream();
        try
        {
            using var inflated = provider.CreateDecompressionStream(source);
            while (inflated.Read(output.GetSpan(ChunkSize)) is > 0 and var read)
            {
                output.Advance(read);
                if (output.WrittenCount > (maxLength ?? Array.MaxLength))
                    throw new RpcException(new Status(StatusCode.ResourceExhausted, GrpcProtocol.MessageTooLargeToReceive));
            }
        }
        catch (InvalidDataException exception)
        {
            throw new RpcException(new Status(
                StatusCode.Internal, $"A message does not decompress as {provider.EncodingName}.", exception));
        }
    }
}
