using Grpc.Core;
using KdServing.Serving.Models;

namespace KdServing.Serving.Wire;

/// <summary>
/// The service <c>kdserving.v1.Ranking</c> as the generated base class would have it, but with messages that are read and written
/// where they lie (<see cref="RankCall"/>, <see cref="RankedReply"/>). Clients see no difference.
/// </summary>
[BindServiceMethod(typeof(RankingEndpoint), nameof(BindService))]
public abstract class RankingEndpoint
{
    private static readonly Marshaller<RankCall> Calls = Marshallers.Create<RankCall>(
        static (_, _) => throw new NotSupportedException("a server sends no requests"),
        static context => RankCall.Read(context.PayloadAsReadOnlySequence()));

    private static readonly Marshaller<RankedReply> Replies = Marshallers.Create<RankedReply>(
        RankedReply.WriteTo,
        static _ => throw new NotSupportedException("a server receives no replies"));

    private static readonly string Service = Contracts.Ranking.Descriptor.FullName;

    private static readonly Method<RankCall, RankedReply> RankMethod = new(MethodType.Unary, Service, nameof(Rank), Calls, Replies);

    private static readonly Method<RankCall, RankedReply> RankStreamMethod =
        new(MethodType.DuplexStreaming, Service, nameof(RankStream), Calls, Replies);

    /// <summary>What gRPC calls when the service is mapped.</summary>
    public static void BindService(ServiceBinderBase serviceBinder, RankingEndpoint? service)
    {
        serviceBinder.AddMethod(RankMethod, service is null ? null : new UnaryServerMethod<RankCall, RankedReply>(service.Rank));
        serviceBinder.AddMethod(RankStreamMethod, service is null ? null : new DuplexStreamingServerMethod<RankCall, RankedReply>(service.RankStream));
    }

    /// <summary>One request, one reply. Whoever implements it returns the call to its pool.</summary>
    /// <exception cref="RpcException">Why there is no reply, as the client is told; nothing else is thrown.</exception>
    public abstract Task<RankedReply> RankAsync(RankCall request, CallBudget budget);

    /// <summary>What gRPC calls.</summary>
    public Task<RankedReply> Rank(RankCall request, ServerCallContext context) => RankAsync(request, new(context.Deadline, context.CancellationToken));

    /// <summary>Many requests over one stream, answered in order.</summary>
    public abstract Task RankStream(IAsyncStreamReader<RankCall> requestStream, IServerStreamWriter<RankedReply> responseStream, ServerCallContext context);
}
