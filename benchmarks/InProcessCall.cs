using System.Buffers;
using Grpc.Core;

namespace KdServing.Benchmarks;

/// <summary>A call without a transport: no deadline, nobody cancels.</summary>
internal sealed class InProcessCall : ServerCallContext
{
    protected override string MethodCore => "/kdserving.v1.Ranking/Rank";

    protected override string HostCore => "bench";

    protected override string PeerCore => "bench";

    protected override DateTime DeadlineCore => DateTime.MaxValue;

    protected override Metadata RequestHeadersCore { get; } = [];

    protected override CancellationToken CancellationTokenCore => CancellationToken.None;

    protected override Metadata ResponseTrailersCore { get; } = [];

    protected override Status StatusCore { get; set; }

    protected override WriteOptions? WriteOptionsCore { get; set; }

    protected override AuthContext AuthContextCore => throw new NotSupportedException();

    protected override Task WriteResponseHeadersAsyncCore(Metadata responseHeaders) => Task.CompletedTask;

    protected override ContextPropagationToken CreatePropagationTokenCore(ContextPropagationOptions? options) => throw new NotSupportedException();
}

/// <summary>Takes a reply's bytes, as the transport would.</summary>
internal sealed class InProcessReply : SerializationContext
{
    private readonly ArrayBufferWriter<byte> bytes = new();

    public int Length => bytes.WrittenCount;

    public void Clear() => bytes.ResetWrittenCount();

    public override IBufferWriter<byte> GetBufferWriter() => bytes;

    public override void SetPayloadLength(int payloadLength)
    {
    }

    public override void Complete()
    {
    }
}
