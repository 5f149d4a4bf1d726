using Grpc.Core;
using KdServing.Contracts;
using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Load;

/// <summary>Why a load test can not begin, in words for who typed the command.</summary>
internal sealed class LoadException(string message) : Exception(message);

/// <summary>Requests drawn from a replay, ready to be encoded: a load test sends them over and over.</summary>
internal static class RequestPool
{
    // Seconds of the replay between two requests of the pool.
    private const double SpacingSeconds = 0.1;

    // What the copies of all connections may take together.
    private const long MaxBytes = 128L << 20;

    /// <summary>So many requests, one each tenth of a second of the replay; fewer when they are large.</summary>
    /// <param name="byId">The item feature whose values are the ids of the catalog's items; null: candidates with their features.</param>
    /// <param name="schema">Says which item features are static; needed with <paramref name="byId"/>.</param>
    /// <param name="asVarints">Ids that the replay has as little-endian integers are sent as varints.</param>
    public static IReadOnlyList<RankRequest> Draw(RankingRequests source, int size, int connections, string? byId, FeatureSchema schema, bool asVarints = false)
    {
        var pool = new List<RankRequest>();
        var bytes = 0L;
        for (var n = 0; n < size && (n < 16 || bytes * connections < MaxBytes); n++)
        {
            var request = source.Next(n * SpacingSeconds);
            if (byId is not null)
                request = CatalogRequest.Of(request, byId, schema);
            pool.Add(asVarints ? VarintRequest.Of(request) : request);
            bytes += pool[^1].CalculateSize();
        }
        return pool;
    }

    /// <summary>Sends each request once through the ordinary client and checks its reply in full; during the test only status, version and length are.</summary>
    /// <exception cref="LoadException">A request is refused, or a reply is wrong.</exception>
    public static async Task CheckAsync(Contracts.Ranking.RankingClient client, IReadOnlyList<RankRequest> pool, int deadlineMs, CancellationToken stop)
    {
        foreach (var request in pool)
        {
            try
            {
                var reply = await client.RankAsync(request, deadline: DateTime.UtcNow.AddMilliseconds(Math.Max(1000, deadlineMs)), cancellationToken: stop);
                if (ReplyCheck.Problem(request, reply, versionSeen: 0, allowRollback: true) is { } problem)
                    throw new LoadException($"the server's reply to {request.RequestId} is wrong: {problem}");
            }
            catch (RpcException e) when (!stop.IsCancellationRequested)
            {
                throw new LoadException($"the server refused a request before the test began: {e.StatusCode}, {e.Status.Detail}");
            }
        }
    }
}
