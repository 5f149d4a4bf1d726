using System.Buffers;
using System.Diagnostics.Metrics;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using KdServing.Serving.Tests.Models;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>A batcher over loaded versions that ONNX Runtime scores, with time that a test moves.</summary>
internal sealed class BatchedVersions : IDisposable
{
    public static readonly TimeSpan Budget = TimeSpan.FromMicroseconds(100);

    private readonly Meter meter = new("test");
    private readonly LoadedVersions versions;

    public BatchedVersions(SampleStudent sample, int count = 1, int maxCandidates = 1000, AdmissionGate? gate = null)
    {
        versions = new(sample, count);
        for (var version = 1; version <= count; version++)
            versions[version].Engine = ScoringEngine.OnnxRuntime;
        Gate = gate ?? new(concurrency: 1, maxQueueMs: 1000);
        Batcher = new(new() { BudgetMicroseconds = Budget.Microseconds, MaxCandidates = maxCandidates, IsForced = true }, Gate, Time, new(meter));
    }

    public AdmissionGate Gate { get; }

    public ManualTime Time { get; } = new();

    public RequestBatcher Batcher { get; }

    /// <summary>Batches scored, and requests in them.</summary>
    public (long Batches, long Requests) Scored => (Batcher.Report().Batches, Batcher.Report().Requests);

    public Servable this[int version] => versions[version];

    public static RankCall Call(RankRequest request) => RankCall.Read(new ReadOnlySequence<byte>(request.ToByteArray()));

    /// <summary>Gives a request to the batcher, as the service does.</summary>
    public Joined Join(RankRequest request, int version = 1, CallBudget? budget = null)
    {
        var run = versions[version].Rent();
        versions[version].Decode(Call(request), run);
        return new(request, run, Batcher.TryScoreAsync(versions[version], run, budget ?? CallBudget.Unlimited));
    }

    /// <summary>What a request gets by itself.</summary>
    public (float[] Logits, float[] Scores) Alone(RankRequest request, int version = 1)
    {
        var run = versions[version].Rent();
        versions[version].Score(Call(request), run, CallBudget.Unlimited);
        var result = (run.Logits.ToArray(), run.Scores.ToArray());
        versions[version].Return(run);
        return result;
    }

    /// <summary>The request was scored, and to 1e-5 as if by itself; its order differs only between logits that near.</summary>
    public async Task RequireScoredAsync(Joined joined, int version = 1)
    {
        Assert.True(await joined.IsScored);
        var (logits, scores) = Alone(joined.Request, version);
        RequireClose(logits, joined.Run.Logits);
        RequireClose(scores, joined.Run.Scores);
        var targets = versions[version].Schema.Targets.Count;
        for (var t = 0; t < targets; t++)
        {
            var (alone, together) = (Column(logits, t, targets), Column(joined.Run.Logits, t, targets));
            var (expected, actual) = (new int[alone.Length], new int[alone.Length]);
            TopK.Select(alone, expected);
            TopK.Select(together, actual);
            for (var i = 0; i < expected.Length; i++)
                Assert.True(expected[i] == actual[i] || IsClose(alone[expected[i]], alone[actual[i]]), $"place {i} is {actual[i]}, alone {expected[i]}");
        }
        versions[version].Return(joined.Run);
    }

    public void Dispose()
    {
        Batcher.Dispose();
        versions.Dispose();
        meter.Dispose();
    }

    private static float[] Column(ReadOnlySpan<float> values, int first, int stride)
    {
        var column = new float[values.Length / stride];
        for (var n = 0; n < column.Length; n++)
            column[n] = values[n * stride + first];
        return column;
    }

    private static void RequireClose(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.True(IsClose(expected[i], actual[i]), $"{i}: {actual[i]}, alone {expected[i]}");
    }

    private static bool IsClose(float a, float b) => MathF.Abs(a - b) <= 1e-5f * MathF.Max(1, MathF.Abs(a));
}

/// <summary>A request that waits in a batch.</summary>
/// <param name="Run">Where its results will be.</param>
internal sealed record Joined(RankRequest Request, ScoringRun Run, Task<bool> IsScored);
