using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Tests.Evaluation;

public sealed class ProgressiveEvaluationTests
{
    private static readonly Scorer[] Required = [Scorer.Teacher, Scorer.Student, Scorer.StudentLatest, Scorer.StudentLabelsOnly];

    // A click among four; the last candidate was sampled and nobody labelled it.
    private static readonly byte[] States = [2, 1, 2, 0];
    private static readonly byte[] Origins = [1, 1, 2, 2];
    private static readonly float[] LogQ = [0, 0, -1, -2];

    [Fact]
    public void A_record_gives_every_scorer_its_metrics()
    {
        var evaluation = new ProgressiveEvaluation(Required, correctLogQ: false);

        Assert.True(evaluation.Observe(Session, new()
        {
            Teacher = [0, 2, 1, -1],
            Student = [0, 1, 2, -1],
            StudentLatest = [0, 0, 0, 0],
            StudentLabelsOnly = [2, 1, 0, -1],
        }));

        var scorers = evaluation.Snapshot().Scorers;
        Assert.Equal(["student", "student_labels_only", "student_latest", "teacher"], scorers.Keys.Order(StringComparer.Ordinal));
        Assert.Equal((1.0, 1.0), (scorers["teacher"].Auc, scorers["teacher"].Gauc));
        Assert.Null(scorers["teacher"].RankCorrelation);
        var student = scorers["student"];
        // Of the three negatives, the unlabelled sampled one included, one is above the click.
        Assert.Equal(2 / 3.0, student.Gauc!.Value, 1e-12);
        Assert.Equal(1 / Math.Log2(3), student.NdcgAt10!.Value, 1e-12);
        Assert.Equal(0.8, student.RankCorrelation!.Value, 1e-12);
        Assert.Null(student.OverlapAt10);
        // The three labelled candidates: -log σ(1), -log σ(0), -log σ(-2).
        Assert.Equal((Softplus(-1) + Softplus(0) + Softplus(2)) / 3, student.Logloss!.Value, 1e-12);
        // Exposed: logits 0 and 1, one click.
        Assert.Equal(0.5 + 1 / (1 + Math.Exp(-1)), student.Calibration!.Value, 1e-12);
        Assert.Equal(0.5, scorers["student_latest"].Auc);
    }

    [Fact]
    public void The_log_loss_of_sampled_candidates_can_be_corrected()
    {
        var evaluation = new ProgressiveEvaluation([Scorer.Teacher], correctLogQ: true);

        evaluation.Observe(Session, new() { Teacher = [0, 2, 1, -1] });

        // The sampled one's logit 1 has log q = -1: among what is seen its logit is 2.
        Assert.Equal((Softplus(0) + Softplus(-2) + Softplus(2)) / 3, evaluation.Snapshot().Scorers["teacher"].Logloss!.Value, 1e-12);
    }

    [Fact]
    public void Extreme_logits_have_finite_losses()
    {
        var evaluation = new ProgressiveEvaluation([Scorer.Teacher], correctLogQ: false);

        evaluation.Observe(Session, new() { Teacher = [1000, -1000, 1e30f, 0] });

        Assert.Equal((1000 + 1000 + (double)1e30f) / 3, evaluation.Snapshot().Scorers["teacher"].Logloss!.Value, 1e20);
    }

    [Fact]
    public void A_record_counts_only_when_every_required_scorer_scored_it()
    {
        var evaluation = new ProgressiveEvaluation(Required, correctLogQ: false);
        float[] logits = [0, 1, 2, 3];

        Assert.False(evaluation.Observe(Session, new() { Teacher = logits, Student = logits, StudentLatest = logits }));
        Assert.False(evaluation.Observe(Session, new()
        {
            Teacher = [0, float.NaN, 0, 0],
            Student = logits,
            StudentLatest = logits,
            StudentLabelsOnly = logits,
        }));

        Assert.Equal((0, 2), (evaluation.Records, evaluation.Unscored));
        Assert.Empty(evaluation.Snapshot().Scorers);
        Assert.Null(evaluation.Snapshot().TransferRatio);
    }

    [Fact]
    public void Differences_are_of_records_both_scored()
    {
        var evaluation = new ProgressiveEvaluation([Scorer.Student], correctLogQ: false);
        float[] right = [0, 5, 1, 2];
        float[] wrong = [5, 0, 1, 2];
        for (var i = 0; i < 50; i++)
            evaluation.Observe(Session, new() { Student = wrong, StudentLabelsOnly = wrong });
        for (var i = 0; i < 50; i++)
            evaluation.Observe(Session, new() { Student = right, StudentLatest = right, StudentLabelsOnly = wrong, StudentFrozen = wrong });

        var differences = evaluation.Snapshot().GaucDifference95;

        Assert.Equal([1.0, 1.0], differences["student_minus_frozen"]!);
        Assert.Equal([1.0, 1.0], differences["student_latest_minus_labels_only"]!);
        var labelsOnly = differences["student_minus_labels_only"]!;
        Assert.InRange(labelsOnly[0], 0.36, 0.46);
        Assert.InRange(labelsOnly[1], 0.54, 0.64);
        Assert.Equal(50, evaluation.Snapshot().Scorers["student_frozen"].Records);
    }

    [Fact]
    public void Transfer_ratio_is_the_share_of_the_teachers_advantage()
    {
        Assert.Equal(0.25, ProgressiveEvaluation.TransferRatio(0.8, 0.7 + 0.025, 0.7)!.Value, 1e-12);
        Assert.Null(ProgressiveEvaluation.TransferRatio(0.7, 0.8, 0.7));
        Assert.Null(ProgressiveEvaluation.TransferRatio(0.6, 0.8, 0.7));
        Assert.Null(ProgressiveEvaluation.TransferRatio(null, 0.8, 0.7));
    }

    [Fact]
    public void State_survives_a_restart()
    {
        var whole = new ProgressiveEvaluation(Required, correctLogQ: true);
        var first = new ProgressiveEvaluation(Required, correctLogQ: true);
        ObserveRandom(whole, 0, 200);
        ObserveRandom(first, 0, 77);

        var state = first.Save();
        var second = new ProgressiveEvaluation(Required, correctLogQ: true);
        second.Restore(state);
        ObserveRandom(second, 77, 200);

        Assert.InRange(state.Length, 1, 200_000);
        Assert.Equal(Json(whole), Json(second));
        Assert.Equal(whole.Records, second.Records);
    }

    [Fact]
    public void A_damaged_state_is_refused()
    {
        var evaluation = new ProgressiveEvaluation(Required, correctLogQ: true);
        ObserveRandom(evaluation, 0, 5);
        var state = evaluation.Save();

        Assert.Throws<InvalidDataException>(() => new ProgressiveEvaluation(Required, true).Restore(state[..^1]));
        Assert.Throws<InvalidDataException>(() => new ProgressiveEvaluation(Required, true).Restore([9, 0, 0, 0]));
    }

    [Fact]
    public void The_snapshot_spells_its_keys_as_the_status_file_does()
    {
        var evaluation = new ProgressiveEvaluation(Required, correctLogQ: false);
        ObserveRandom(evaluation, 0, 40);

        using var json = JsonDocument.Parse(Json(evaluation));

        Assert.Equal(["scorers", "gauc_difference_95", "transfer_ratio", "by_teacher_version"], json.RootElement.EnumerateObject().Select(p => p.Name));
        Assert.Equal(["records", "auc", "gauc", "logloss", "ndcg_at_10", "overlap_at_10", "rank_correlation", "calibration"],
            json.RootElement.GetProperty("scorers").GetProperty("student").EnumerateObject().Select(p => p.Name));
        Assert.Equal(2, json.RootElement.GetProperty("gauc_difference_95").GetProperty("student_minus_labels_only").GetArrayLength());
        Assert.Equal(JsonValueKind.Null, json.RootElement.GetProperty("gauc_difference_95").GetProperty("student_minus_frozen").ValueKind);
    }

    private static LabelledSession Session => new(States, Origins, LogQ);

    private static void ObserveRandom(ProgressiveEvaluation evaluation, int from, int to)
    {
        for (var i = from; i < to; i++)
        {
            var random = new Random(i);
            var states = Enumerable.Range(0, 20).Select(k => (byte)(k == i % 20 ? 1 : 2)).ToArray();
            evaluation.Observe(new(states, [.. states.Select(s => s)], new float[20]), new()
            {
                Teacher = Logits(2),
                Student = Logits(1),
                StudentLatest = Logits(1.2),
                StudentLabelsOnly = Logits(0.5),
            });

            float[] Logits(double skill) => [.. states.Select(s => (float)(random.NextDouble() * 3 + (s == 1 ? skill : 0)))];
        }
    }

    private static string Json(ProgressiveEvaluation evaluation) => JsonSerializer.Serialize(evaluation.Snapshot(), ContractJson.Options);

    private static double Softplus(double x) => Math.Log(1 + Math.Exp(x));
}
