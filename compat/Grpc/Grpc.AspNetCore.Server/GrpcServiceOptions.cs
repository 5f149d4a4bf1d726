using System.IO.Compression;
using Grpc.Net.Compression;

namespace Grpc.AspNetCore.Server;

/// <summary>The options of every service, and the defaults of each one's own.</summary>
public class GrpcServiceOptions
{
    /// <summary>The largest response in bytes; null for no limit, the default.</summary>
    public int? MaxSendMessageSize { get; set; }

    /// <summary>The largest request in bytes, before and after decompression; 4 MiB by default, null for no limit.</summary>
    public int? MaxReceiveMessageSize { get; set; } = Net.Common.GrpcProtocol.DefaultMaxReceiveMessageSize;

    /// <summary>Whether clients see the type and message of an exception that a handler threw. Not by default.</summary>
    public bool? EnableDetailedErrors { get; set; }

    /// <summary>The encoding of responses to clients that accept it; null, the default, for none.</summary>
    public string? ResponseCompressionAlgorithm { get; set; }

    public CompressionLevel? ResponseCompressionLevel { get; set; }

    /// <summary>What messages can be compressed with; gzip and deflate by default.</summary>
    public IList<ICompressionProvider> CompressionProviders { get; set; } = [.. Net.Common.MessageEncodings.CreateDefault()];

    /// <summary>The interceptors of every call; the first one sees a call first.</summary>
    public InterceptorCollection Interceptors { get; } = [];

    /// <summary>Whether a call of an unknown service is left to other endpoints instead of answered with UNIMPLEMENTED.</summary>
    public bool? IgnoreUnknownServices { get; set; }
}

/// <summary>The options of one service. They start as a copy of the <see cref="GrpcServiceOptions"/> of every service.</summary>
public class GrpcServiceOptions<TService> : GrpcServiceOptions
    where TService : class
{
}
