using System.Text.Json;
using BenchmarkDotNet.Attributes;
using KdServing.Benchmarks.Training;
using KdServing.Contracts;
using KdServing.Distiller;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Benchmarks;

/// <summary>One training step of <c>samples/globo</c>: 32 impressions × 51 candidates, tables of 100,000 rows. One thread.</summary>
/// <remarks>Beside PyTorch on the same batches: <c>kd bench training</c>.</remarks>
public class TrainingBenchmarks
{
    private const int Batches = 16;

    private Learner learner = null!;
    private List<FeatureBatch> batches = null!;
    private float[] logits = null!;
    private int next;

    [GlobalSetup]
    public void SetUp()
    {
        NativeLibraries.Require(threads: 1);
        var workload = new TrainingWorkload(Checkout.Sample("globo"), vocabulary: 100_000, seed: 1);
        learner = workload.Learner(AdagradState.Row);
        batches = workload.Batches(Batches);
        logits = new float[batches.Max(b => b.Candidates) * workload.Schema.Targets.Count];
    }

    [GlobalCleanup]
    public void CleanUp() => learner.Dispose();

    [Benchmark]
    public bool Step()
    {
        var batch = batches[next++ % Batches];
        return learner.ScoreAndLearn(batch, logits.AsSpan(0, batch.Candidates));
    }
}

/// <summary>Each distillation loss over 32 sessions × 51 candidates: value and gradient.</summary>
public class LossBenchmarks
{
    private const int Sessions = 32;

    private DistillationLoss loss = null!;
    private Tensor student = null!;
    private Tensor teacher = null!;
    private long[] sessions = null!;

    /// <summary>Losses that compare two numbers a candidate and need no column beside.</summary>
    [Params("BINARY_CROSS_ENTROPY_LOSS", "LISTWISE_DISTILL_LOSS", "LISTWISE_RANK_LOSS", "PAIRWISE_LOGISTIC_LOSS", "L2_LOSS")]
    public string Loss { get; set; } = "";

    [GlobalSetup]
    public void SetUp()
    {
        NativeLibraries.Require(threads: 1);
        var block = Loss.StartsWith("LIST", StringComparison.Ordinal) || Loss.StartsWith("PAIR", StringComparison.Ordinal)
            ? $", \"{Loss.ToLowerInvariant()}\": {{ \"session_name\": \"request_id\" }}" : "";
        var entry = JsonSerializer.Deserialize<KdLossConfig>(
            $"{{ \"pred_name\": \"logits\", \"soft_label_name\": \"teacher_logits\", \"loss_type\": \"{Loss}\"{block} }}", ContractJson.Options)!;
        loss = LossCatalogue.Create(entry, "kd[0]");
        var random = new Random(1);
        const int Rows = Sessions * TrainingWorkload.Candidates;
        float[] Values() => [.. Enumerable.Range(0, Rows).Select(_ => random.NextSingle() * 4 - 2)];
        student = tensor(Values()).requires_grad_();
        teacher = tensor(Values()).sigmoid();
        sessions = [.. Enumerable.Range(0, Rows).Select(r => (long)(r / TrainingWorkload.Candidates))];
    }

    [Benchmark]
    public void ValueAndGradient()
    {
        using var scope = NewDisposeScope();
        loss.Value(student, teacher, SessionIndex.Of(sessions)).backward();
    }
}
