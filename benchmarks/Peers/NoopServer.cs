using Grpc.Core;
using KdServing.Contracts;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using KdServing.Serving.Transport;
using KdServing.Serving.Wire;
using Microsoft.AspNetCore.Builder;

namespace KdServing.Benchmarks.Peers;

/// <summary><c>kd-noop</c>: the server's gRPC layer without the server. Requests are read whole, every score is one half.</summary>
/// <remarks>Run under Serving's runtime configuration, with Serving's transport and messages, so that what differs from it is the model alone.</remarks>
internal static class NoopServer
{
    public const string Verb = "noop-server";

    public static async Task RunAsync(int port)
    {
        await using var app = Build(port);
        await app.RunAsync();
    }

    /// <summary>The server, not started; port 0: any free one.</summary>
    public static WebApplication Build(int port)
    {
        // It measures a layer: it refuses nobody, as its peers do not.
        var gate = new AdmissionGate(Environment.ProcessorCount, maxQueueMs: double.PositiveInfinity);
        return LoopbackServer.Build(port, gate, new RankingMetrics(), _ => new NoopRanking(gate));
    }

    private sealed class NoopRanking(AdmissionGate gate) : RankingEndpoint
    {
        private readonly float[] halves = [.. Enumerable.Repeat(0.5f, TeacherRecordValidation.MaxCandidates)];

        public override Task<RankedReply> RankAsync(RankCall request, CallBudget budget)
        {
            gate.Arrived();
            var reply = RankedReply.Rent();
            reply.Header.RequestId = request.Header.RequestId;
            reply.Header.Model = PeerModel.Name;
            reply.Header.Version = 1;
            reply.AddTarget("click", halves, default, stride: 1, request.Header.CandidateCount, index: default);
            if (Decode(request) == 0)
                reply.Header.Version = 0;
            request.Return();
            return Task.FromResult(reply);
        }

        // The C++ peer's generated parser decodes every id; the server does so while it hashes them, so here it is done for its own sake.
        private static long Decode(RankCall request)
        {
            var sum = 1L;
            Span<long> ids = stackalloc long[256];
            for (var c = 0; c < request.ItemColumns; c++)
            {
                if (!WireColumn.TryRead(request.ItemColumn(c), out var column) || column.Kind != Column.ValuesOneofCase.Ints)
                    continue;
                var varints = new Varints(column.Values);
                for (var left = request.Header.CandidateCount; left > 0 && varints.TryRead(ids[..Math.Min(left, ids.Length)]); left -= ids.Length)
                    sum += ids[0] & 1;
            }
            return sum;
        }

        public override Task RankStream(IAsyncStreamReader<RankCall> requestStream, IServerStreamWriter<RankedReply> responseStream,
            ServerCallContext context) => throw new RpcException(new(StatusCode.Unimplemented, "unary calls only"));
    }
}
