using KdServing.Contracts;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Models;
using KdServing.Serving.Tests.Models;

namespace KdServing.Serving.Tests.Accelerators;

/// <summary>Versions on a device: the scores of the formulas, whatever the request's size, and whatever version was in the same memory before.</summary>
/// <remarks>The device is the processor; what differs on a GPU (copies, streams, captured runs) is measured there: benchmarks/results/h200.</remarks>
public sealed class DeviceScoringTests : IDisposable
{
    private const string MixedWidths = """
        { "name": "mixed", "targets": ["click"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 5000, "dim": 16 },
          { "name": "article", "side": "item", "kind": "hash", "buckets": 3000, "dim": 16 },
          { "name": "author", "side": "item", "kind": "hash", "buckets": 500, "dim": 16 },
          { "name": "topic", "side": "item", "kind": "hash", "buckets": 100, "dim": 4 },
          { "name": "read_before", "side": "item", "kind": "sequence", "table": "article", "buckets": 3000, "dim": 16, "max_length": 4 },
          { "name": "publisher", "side": "item", "kind": "hash", "buckets": 50, "dim": 16 },
          { "name": "slot", "side": "cross", "kind": "vocabulary", "vocabulary": [1, 2, 3], "dim": 4 } ] }
        """;

    private readonly HostAccelerator device = new();

    public void Dispose()
    {
        Assert.Equal(0, device.Bytes);
        Assert.Equal(0, device.Streams);
    }

    [Theory]
    [InlineData("mlp", SampleStudent.SchemaJson)]
    [InlineData("two_tower", SampleStudent.SchemaJson)]
    [InlineData("mlp", MixedWidths)]
    [InlineData("two_tower", MixedWidths)]
    public void Scores_are_those_of_the_formulas(string family, string schema)
    {
        using var sample = new SampleStudent(family, schema: schema);
        // Sizes of runs, one more, one less, and more than any run has room for.
        var requests = ((int[])[1, 127, 128, 129, 500, 8192, 8193]).Select(n => sample.Request(n, seed: n)).ToList();
        var expected = requests.ConvertAll(sample.Score);
        using var versions = On(sample, count: 1);

        Assert.Equal(ScoringEngine.Device, versions[1].Engine);
        // The large one first: the small ones then find its rows in their memory.
        foreach (var (request, logits) in requests.Zip(expected).Reverse())
            RequireScores(versions[1], request, logits);
    }

    [Fact]
    public void Requests_of_several_users_are_scored_together()
    {
        using var sample = new SampleStudent("mlp");
        // More users than a run has room for, and a request that fills one.
        var requests = Enumerable.Range(1, DeviceLayout.Users + 5).Select(n => sample.Request(n == 7 ? 8192 : n == 9 ? 9000 : n, seed: n)).ToList();
        var expected = requests.ConvertAll(sample.Score);
        using var versions = On(sample, count: 1);

        var runs = requests.ConvertAll(r =>
        {
            var run = versions[1].Rent();
            versions[1].Decode(Ranking.BatchedVersions.Call(r), run);
            return run;
        });
        versions[1].ScoreTogether(runs.ToArray());
        for (var r = 0; r < runs.Count; r++)
        {
            RequireClose(expected[r], runs[r].Logits);
            versions[1].Return(runs[r]);
        }
    }

    [Fact]
    public void A_refresh_brings_only_what_changed_and_takes_the_place_of_a_version_that_is_gone()
    {
        using var sample = new SampleStudent("mlp");
        var request = sample.Request(candidates: 700, seed: 1);
        using var versions = On(sample, count: 1);
        var held = versions.LoadAgain(1);
        long full = 0, bytes = 0;
        for (var version = 2; version <= 12; version++)
        {
            sample.Learn(seed: 100 + version, rowsPerTable: 5);
            sample.Publish(versions.Repository);
            var logits = sample.Score(request);
            device.TakeCopied();
            var next = versions.Loader.Load(SampleStudent.Model, version, version == 2 ? null : held);
            Assert.Null(next.EngineRefusal);
            var copied = device.TakeCopied();
            if (version == 2)
                full = copied;
            else
                Assert.True(copied < full * 2 / 3, $"a delta of 5 rows a table copied {copied} bytes, all rows {full}");
            Assert.Null(next.EngineRefusal);
            RequireScores(next, request, logits);
            if (version > 2)
                held.Dispose();
            held = next;
            if (version == 4)
                bytes = device.Bytes;
        }
        Assert.Equal(bytes, device.Bytes);
        held.Dispose();
    }

    [Fact]
    public async Task A_version_goes_on_while_another_is_loaded_and_dropped()
    {
        using var sample = new SampleStudent("two_tower");
        var request = sample.Request(candidates: 300, seed: 3);
        var expected = sample.Score(request);
        using var versions = On(sample, count: 2);

        using var stop = new CancellationTokenSource();
        var scored = 0;
        var scoring = Task.Run(() =>
        {
            do
            {
                RequireScores(versions[1], request, expected);
                scored++;
            }
            while (!stop.IsCancellationRequested);
        });
        for (var n = 0; n < 5; n++)
            versions.Loader.Load(SampleStudent.Model, 2, held: versions[1]).Dispose();
        await stop.CancelAsync();
        await scoring;
        Assert.True(scored > 0);
    }

    [Fact]
    public void Without_room_the_processor_scores()
    {
        using var sample = new SampleStudent("mlp");
        var request = sample.Request(candidates: 50, seed: 3);
        var expected = sample.Score(request);
        device.Capacity = 100_000;
        using var versions = On(sample, count: 1);

        Assert.NotEqual(ScoringEngine.Device, versions[1].Engine);
        Assert.Contains("no room for", versions[1].EngineRefusal, StringComparison.Ordinal);
        RequireScores(versions[1], request, expected);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_version_the_device_does_not_score_rightly_gives_its_place_back(bool fails)
    {
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        var repository = new ModelRepository(folder.Path);
        sample.Publish(repository);
        using var runtime = InferenceRuntime.On(device, new());
        using var pool = new ScoringBufferPool();
        device.KeepsResults = fails;
        // Below 0 whoever is not ONNX Runtime on the processor is refused.
        var loader = new ServableLoader(repository, runtime, pool, new(), TimeSpan.FromMilliseconds(20)) { KernelTolerance = fails ? EngineParity.Tolerance : -1 };

        using var servable = loader.Load(SampleStudent.Model, 1, held: null);

        Assert.Null(servable.Device);
        Assert.Equal(0, device.Bytes);
        Assert.NotEqual(ScoringEngine.Device, servable.Engine);
        Assert.Contains(fails ? "fell off" : "by Device", servable.EngineRefusal, StringComparison.Ordinal);
        LoadedVersions.RequireScores(servable, sample.Request(candidates: 20, seed: 1));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void When_the_device_fails_the_request_is_scored_by_the_processor(bool together)
    {
        using var sample = new SampleStudent("mlp");
        var request = sample.Request(candidates: 50, seed: 3);
        var expected = sample.Score(request);
        var runtime = InferenceRuntime.On(device, new());
        var failures = new List<string>();
        runtime.Devices!.Failed += failures.Add;
        using var versions = new LoadedVersions(sample, count: 1, runtime);

        device.IsBroken = true;
        if (together)
        {
            ScoringRun[] runs = [versions[1].Rent(), versions[1].Rent()];
            foreach (var run in runs)
                versions[1].Decode(Ranking.BatchedVersions.Call(request), run);
            versions[1].ScoreTogether(runs);
            foreach (var run in runs)
            {
                RequireClose(expected, run.Logits);
                versions[1].Return(run);
            }
        }
        else
            RequireScores(versions[1], request, expected);
        RequireScores(versions[1], request, expected);
        // A request that was under way with it.
        versions[1].Device!.ReportFailure("the device fell off");
        Assert.Equal(["the device fell off"], failures);
    }

    private LoadedVersions On(SampleStudent sample, int count) => new(sample, count, InferenceRuntime.On(device, new()));

    private static void RequireScores(Servable servable, RankRequest request, float[] expected)
    {
        var run = servable.Rent();
        servable.Score(request, run, CallBudget.Unlimited);
        RequireClose(expected, run.Logits);
        RequireClose([.. expected.Select(x => 1 / (1 + MathF.Exp(-x)))], run.Scores);
        servable.Return(run);
    }

    private static void RequireClose(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.True(MathF.Abs(actual[i] - expected[i]) <= 1e-5f * MathF.Max(1, MathF.Abs(expected[i])), $"{i}: {actual[i]}, expected {expected[i]}");
    }
}
