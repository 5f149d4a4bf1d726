using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>Tests that count what the process allocates; no other test runs beside them.</summary>
[CollectionDefinition(nameof(RequestAllocationTests), DisableParallelization = true)]
public sealed class RequestAllocationCollection;

/// <summary>What a whole request costs the collector, from the client's call to its reply, both ends in this process.</summary>
/// <remarks>What the gRPC layer alone allocates is held by the tests of <c>compat/Grpc</c>, whose client is another process.</remarks>
[Collection(nameof(RequestAllocationTests))]
public sealed class RequestAllocationTests
{
    private const int WarmUpRequests = 300;
    private const int Requests = 200;

    // Both ends of a call without a deadline; HttpClient has the larger share. Debug builds put every state machine on the heap.
#if DEBUG
    private const double BudgetBytes = 20_000;
#else
    private const double BudgetBytes = 12_000;
#endif

    // 2,325 B were measured at both ends, their source not found (perhaps tasks of more socket reads and writes). The smallest column of
    // 1,990 candidates more is 8 KB: one array of them is seen, a smaller waste is not.
    private const double GrowthBytes = 6_000;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_request_allocates_nothing_a_candidate(bool raw)
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        var small = await BytesAsync(server, Request(sample, 10, raw));
        var large = await BytesAsync(server, Request(sample, 2000, raw));
        Assert.InRange(small, 0, BudgetBytes);
        Assert.InRange(large - small, -GrowthBytes, GrowthBytes);
    }

    private static RankRequest Request(SampleStudent sample, int candidates, bool raw)
    {
        var request = sample.Request(candidates, seed: 1);
        request.TopK = 10;
        foreach (var column in request.User.Concat(request.Item).Where(_ => raw))
        {
            if (column.ValuesCase == Column.ValuesOneofCase.Ints)
                column.RawInt64 = ByteString.CopyFrom([.. column.Ints.Value.SelectMany(BitConverter.GetBytes)]);
            else if (column.ValuesCase == Column.ValuesOneofCase.Floats)
                column.RawFloat32 = ByteString.CopyFrom([.. column.Floats.Value.SelectMany(BitConverter.GetBytes)]);
        }
        return request;
    }

    private static async Task<double> BytesAsync(RunningServer server, RankRequest request)
    {
        for (var i = 0; i < WarmUpRequests; i++)
            await server.Client.RankAsync(request);
        // The status page's figures and the like are written by timers: the least of a few spans is the requests' own.
        var least = double.MaxValue;
        for (var span = 0; span < 5; span++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            for (var i = 0; i < Requests; i++)
                await server.Client.RankAsync(request);
            least = Math.Min(least, (GC.GetTotalAllocatedBytes(precise: true) - before) / (double)Requests);
        }
        return least;
    }
}
