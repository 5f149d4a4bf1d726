using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Offline;

/// <summary>Distillation does not ask what the teacher is: here its logits are those of gradient-boosted trees.</summary>
public sealed class BoostedTeacherTests
{
    private const int TrainRecords = 150;
    private const int Candidates = 10;

    private static readonly FeatureSchema Schema = FeatureSchema.Parse("""
        { "name": "numbers", "targets": [ "click" ], "features": [
          { "name": "age", "side": "user", "kind": "numeric" },
          { "name": "price", "side": "item", "kind": "numeric" },
          { "name": "rating", "side": "item", "kind": "numeric" } ] }
        """);

    private static readonly StudentConfig Shape = StudentConfig.Parse("""{ "family": "mlp", "first_layer": 32, "hidden": [ 16 ] }""");

    [Fact]
    public void A_student_learns_more_from_the_trees_than_from_noisy_labels()
    {
        // A third of the labels is wrong. The trees have seen four times as many rows as the student ever gets.
        var history = Rows(1, 4 * TrainRecords);
        var trees = new GradientBoostedTrees([.. history.SelectMany(r => r.Rows)], [.. history.SelectMany(r => r.Labels)], count: 25, depth: 3);
        var train = Rows(2, TrainRecords).Select(r => Record(r, trees)).ToList();
        var valid = Rows(3, 200);

        var labelsOnly = Auc(train, valid, new() { Model = "m", Optimizer = Optimizer });
        var withTrees = Auc(train, valid, new()
        {
            Model = "m",
            Optimizer = Optimizer,
            Kd = [new() { LossType = "BINARY_CROSS_ENTROPY_LOSS", PredName = "logits", SoftLabelName = "gbdt/click", LossWeight = 4 }],
        });

        Assert.True(withTrees > labelsOnly + 0.01, $"AUC with the trees {withTrees:F4}, from labels only {labelsOnly:F4}");
    }

    private static readonly OptimizerConfig Optimizer = new() { Dense = new() { LearningRate = 0.01 } };

    private static double Auc(List<TeacherRecord> train, List<Impression> valid, DistillerConfig config)
    {
        var method = Method.Create(Schema, Shape, config);
        var batch = method.NewBatch();
        using var learner = new Learner(Schema, Shape, config.Optimizer, 1, method);
        var logits = new float[16 * Candidates];
        for (var epoch = 0; epoch < 40; epoch++)
        {
            foreach (var chunk in SampleOrder.Shuffled(train, 1, epoch).Chunk(16))
            {
                batch.Clear();
                foreach (var record in chunk)
                    batch.Add(record);
                learner.ScoreAndLearn(batch, logits.AsSpan(0, batch.Candidates));
            }
        }
        var scores = KdServing.Distiller.Offline.OfflineScores.Of(Schema, learner.Score, [.. valid.Select(v => Record(v, null))]);
        return KdServing.Distiller.Evaluation.Auc.Of(scores, [.. valid.SelectMany(v => v.Truth).Select(t => (byte)(t ? LabelState.Positive : LabelState.Negative))])!.Value;
    }

    private static TeacherRecord Record(Impression impression, GradientBoostedTrees? trees)
    {
        var record = new TeacherRecord { RequestId = impression.Id, CandidateCount = Candidates, SchemaFingerprint = Schema.Fingerprint };
        record.User.Add(Columns.OfFloat("age", impression.Rows[0][0]));
        record.Item.Add(Columns.OfFloats("price", [.. impression.Rows.Select(r => r[1])]));
        record.Item.Add(Columns.OfFloats("rating", [.. impression.Rows.Select(r => r[2])]));
        record.Origin = Google.Protobuf.ByteString.CopyFrom([.. Enumerable.Repeat((byte)CandidateOrigin.Exposed, Candidates)]);
        record.SamplingLogQ.AddRange(new float[Candidates]);
        record.Labels.Add(new TargetLabels { Target = "click", States = Google.Protobuf.ByteString.CopyFrom([.. impression.Labels.Select(y => (byte)(y == 1 ? LabelState.Positive : LabelState.Negative))]) });
        if (trees is not null)
            record.Outputs.Add(new TeacherOutput { Teacher = "gbdt", TeacherVersion = 1, Target = "click", Logits = { impression.Rows.Select(r => (float)trees.Logit(r)) } });
        return record;
    }

    private static List<Impression> Rows(int seed, int count)
    {
        var random = new Random(seed);
        var impressions = new List<Impression>();
        for (var i = 0; i < count; i++)
        {
            var age = random.NextSingle() * 4 - 2;
            var rows = Enumerable.Range(0, Candidates).Select(_ => new[] { age, random.NextSingle() * 4 - 2, random.NextSingle() * 4 - 2 }).ToArray();
            // Steps and an interaction: easy for trees, and smooth enough for a perceptron that is told the odds.
            var truth = rows.Select(r => (r[0] > 0 ? r[1] > 0.3f : r[1] < -0.5f) || r[2] > 1.2f).ToArray();
            impressions.Add(new($"{seed}-{i}", rows, truth, [.. truth.Select(t => t != random.NextDouble() < 1.0 / 3 ? 1 : 0)]));
        }
        return impressions;
    }

    private sealed record Impression(string Id, float[][] Rows, bool[] Truth, int[] Labels);
}
