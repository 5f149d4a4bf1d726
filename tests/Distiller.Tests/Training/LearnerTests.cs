using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Training;

public sealed class LearnerTests
{
    private static readonly KdLossConfig[] Kd =
    [
        new() { LossName = "pointwise", LossType = "BINARY_CROSS_ENTROPY_LOSS", PredName = "logits", SoftLabelName = "ranker/click" },
    ];

    [Theory]
    [InlineData("""{ "family": "mlp", "first_layer": 16, "hidden": [8] }""")]
    [InlineData("""{ "family": "two_tower", "user_tower": [8], "item_tower": [8], "live_net": [4] }""")]
    public void It_learns_the_truth_from_the_teacher(string student)
    {
        using var learner = Create(student);

        Learn(learner, 0, 300);

        var batch = Batch(90_000, 50);
        var logits = new float[batch.Candidates];
        learner.Score(batch, logits);
        var truth = batch.SoftLabels(0).ToArray();
        Assert.True(Correlation(logits, truth) > 0.9, $"correlation with the truth is {Correlation(logits, truth):0.000}");
    }

    [Fact]
    public void Twins_begin_with_the_same_logits()
    {
        using var a = Create();
        using var b = new Learner(Impressions.Schema, StudentConfig.Parse(Shape), Optimizer, 7,
            Method.LabelsOnly(Impressions.Schema, StudentConfig.Parse(Shape), new()));
        var batch = Batch(0, 8);
        var (first, second) = (new float[batch.Candidates], new float[batch.Candidates]);
        a.Score(batch, first);
        b.Score(batch, second);

        Assert.Equal(first, second);
    }

    [Fact]
    public void What_it_says_while_learning_is_what_it_thought_before()
    {
        using var learner = Create();
        var batch = Batch(0, 8);
        var (before, during, after) = (new float[batch.Candidates], new float[batch.Candidates], new float[batch.Candidates]);
        learner.Score(batch, before);
        learner.ScoreAndLearn(batch, during);
        learner.Score(batch, after);

        Assert.Equal(before, during);
        Assert.NotEqual(before, after);
    }

    // Going on from a checkpoint must be going on, bit for bit.
    [Fact]
    public void A_restored_learner_goes_on_as_the_saved_one()
    {
        using var folder = new TemporaryFolder();
        using var saved = Create();
        Learn(saved, 0, 10);
        var path = Path.Combine(folder.Path, "state.safetensors");
        using (var state = new LearnerState(saved))
        {
            // The state is of the moment it was taken, whenever it is written.
            Learn(saved, 10, 5);
            using var stream = File.Create(path);
            state.Write(stream);
        }
        using var restored = Create();
        LearnerState.Restore([(path, "")], restored);
        Learn(restored, 10, 5);

        var batch = Batch(5000, 20);
        var (expected, actual) = (new float[batch.Candidates], new float[batch.Candidates]);
        saved.Score(batch, expected);
        restored.Score(batch, actual);
        Assert.Equal(expected, actual);
    }

    // A whole state and two of what changed since: bit for bit what a whole state of the same moment is.
    [Fact]
    public void Changes_upon_changes_restore_the_whole()
    {
        using var folder = new TemporaryFolder();
        using var learner = Create();
        var changes = new RowChanges([.. learner.NamedTables.Select(t => t.Table)]);
        var chain = new List<(string Dense, string Rows)>();
        for (var link = 0; link < 3; link++)
        {
            Learn(learner, 20 * link, 3);
            var rows = changes.TakeForCheckpoint();
            chain.Add((folder[$"{link}.safetensors"], folder[$"{link}.rows"]));
            using var state = new LearnerState(learner);
            File.WriteAllBytes(chain[^1].Dense, Written(link == 0 ? state.Write : state.WriteDense));
            File.WriteAllBytes(chain[^1].Rows, Written(s => state.WriteRows(s, rows)));
        }

        using var restored = Create();
        LearnerState.Restore(chain, restored);

        using var expected = new LearnerState(learner);
        using var actual = new LearnerState(restored);
        Assert.Equal(Written(expected.Write), Written(actual.Write));
        Assert.True(new FileInfo(chain[1].Rows).Length < new FileInfo(chain[0].Dense).Length / 4);

        static byte[] Written(Action<Stream> write)
        {
            using var stream = new MemoryStream();
            write(stream);
            return stream.ToArray();
        }
    }

    [Fact]
    public void A_loss_that_is_not_a_number_stops_before_it_spoils_the_weights()
    {
        using var learner = Create(optimizer: Optimizer with { Dense = new() { LearningRate = 1e30 } });

        var fault = Assert.Throws<NotFiniteNumberException>(() => Learn(learner, 0, 50));

        Assert.Contains("learning rates", fault.Message, StringComparison.Ordinal);
    }

    private const string Shape = """{ "family": "mlp", "first_layer": 16, "hidden": [8] }""";

    private static readonly OptimizerConfig Optimizer = new() { Dense = new() { LearningRate = 0.01 }, Embedding = new() { LearningRate = 0.1f } };

    private static Learner Create(string student = Shape, OptimizerConfig? optimizer = null)
    {
        var shape = StudentConfig.Parse(student);
        return new(Impressions.Schema, shape, optimizer ?? Optimizer, 7, Method.Create(Impressions.Schema, shape, new() { Kd = Kd }));
    }

    private static void Learn(Learner learner, int firstBatch, int batches)
    {
        var logits = new float[16 * Impressions.Candidates];
        for (var b = firstBatch; b < firstBatch + batches; b++)
            learner.ScoreAndLearn(Batch(b * 16, 16), logits);
    }

    private static FeatureBatch Batch(int first, int count)
    {
        var batch = new FeatureBatch(Impressions.Schema, [new("ranker", "click")]);
        for (var r = first; r < first + count; r++)
            batch.Add(Impressions.Record(r));
        return batch;
    }

    private static double Correlation(float[] a, float[] b)
    {
        var (ma, mb) = (a.Average(), b.Average());
        var covariance = a.Zip(b, (x, y) => (x - ma) * (y - mb)).Sum();
        return covariance / Math.Sqrt(a.Sum(x => (x - ma) * (x - ma)) * b.Sum(y => (y - mb) * (y - mb)));
    }
}
