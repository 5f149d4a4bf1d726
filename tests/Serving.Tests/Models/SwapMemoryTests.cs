namespace KdServing.Serving.Tests.Models;

/// <summary>The process's memory is measured: nothing else may run in it meanwhile.</summary>
[Collection("alone")]
public sealed class SwapMemoryTests
{
    [Fact]
    public async Task Memory_of_hundreds_of_swaps_is_given_back()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        var request = sample.Request(candidates: 500, seed: 1);
        var after50 = 0.0;
        for (var version = 2; version <= 300; version++)
        {
            sample.Learn(seed: version);
            sample.Publish(server.Repository);
            await server.ServesAsync(version);
            await server.Client.RankAsync(request);
            if (version == 50)
                after50 = ResidentMb();
        }
        await server.DisposedAllButTheLastAsync();
        Assert.True(ResidentMb() < after50 + 40, $"resident after 50 swaps {after50:F0} MB, after 300 {ResidentMb():F0} MB");
    }

    private static double ResidentMb() => Environment.WorkingSet / 1048576.0;
}

/// <summary>Tests that run one after the other, when all others are done.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public sealed class AloneCollection;
