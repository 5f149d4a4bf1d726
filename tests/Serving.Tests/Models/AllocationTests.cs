using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Models;

/// <summary>What a request costs the garbage collector: nothing a candidate, beyond protobuf's own messages.</summary>
public sealed class AllocationTests
{
    [Theory]
    [InlineData(10, true)]
    [InlineData(500, true)]
    [InlineData(2000, true)]
    [InlineData(500, false)]
    public void Scoring_allocates_nothing(int candidates, bool byKernel)
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        var request = sample.Request(candidates, seed: 1);
        // The kernel as loaded, on the matrix unit where there is one, and on vectors.
        foreach (var engine in byKernel ? (ScoringEngine[])[versions[1].Engine, ScoringEngine.Kernel] : [ScoringEngine.OnnxRuntime])
        {
            versions[1].Engine = engine;
            Assert.Equal(0, BytesOfTen(versions[1], () => request));
        }
    }

    // ONNX Runtime's tensors are bound anew when the number of candidates changes: a cost of the change, not of the candidates.
    [Fact]
    public void A_change_of_size_costs_the_same_at_any_size()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        versions[1].Engine = ScoringEngine.OnnxRuntime;
        RankRequest[] small = [sample.Request(10, seed: 1), sample.Request(11, seed: 2)];
        RankRequest[] large = [sample.Request(2000, seed: 1), sample.Request(2001, seed: 2)];
        var turn = 0;
        var smallBytes = BytesOfTen(versions[1], () => small[turn++ % 2]);
        var largeBytes = BytesOfTen(versions[1], () => large[turn++ % 2]);
        Assert.Equal(smallBytes, largeBytes);
        Assert.InRange(largeBytes / 10, 1, 4096);
    }

    private static long BytesOfTen(Servable servable, Func<RankRequest> next)
    {
        var run = servable.Rent();
        for (var i = 0; i < 4; i++)
            servable.Score(next(), run, CallBudget.Unlimited);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 10; i++)
            servable.Score(next(), run, CallBudget.Unlimited);
        var bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        servable.Return(run);
        return bytes;
    }
}
