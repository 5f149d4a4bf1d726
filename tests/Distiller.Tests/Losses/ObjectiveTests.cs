using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Tests.Training;
using KdServing.Distiller.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Losses;

/// <summary>The losses of a kd list on records of the stream.</summary>
public sealed class ObjectiveTests
{
    private const string Session = "\"session_name\": \"request_id\"";

    [Theory]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS", "")]
    [InlineData("BINARY_FOCAL_LOSS", "")]
    [InlineData("CLASSIFICATION", "")]
    [InlineData("COPR_LOSS", $", \"copr_loss\": {{ {Session} }}")]
    [InlineData("CROSS_ENTROPY_LOSS", "")]
    [InlineData("F1_REWEIGHTED_LOSS", "")]
    [InlineData("HINTON_LOSS", ", \"hinton_loss\": { \"hard_label_name\": \"label\" }")]
    [InlineData("KL_DIVERGENCE_LOSS", "")]
    [InlineData("L2_LOSS", "")]
    [InlineData("LISTWISE_DISTILL_LOSS", $", \"listwise_distill_loss\": {{ {Session} }}")]
    [InlineData("LISTWISE_PROB_LOSS", $", \"listwise_prob_loss\": {{ {Session} }}")]
    [InlineData("LISTWISE_RANK_LOSS", $", \"listwise_rank_loss\": {{ {Session}, \"label_is_logits\": true }}")]
    [InlineData("ORDER_CALIBRATE_LOSS", ", \"pred_name\": \"probs\", \"pred_is_logits\": false")]
    [InlineData("PAIRWISE_FOCAL_LOSS", $", \"pairwise_focal_loss\": {{ {Session} }}")]
    [InlineData("PAIRWISE_HINGE_LOSS", $", \"pairwise_hinge_loss\": {{ {Session}, \"ohem_ratio\": 0.5 }}")]
    [InlineData("PAIRWISE_LOGISTIC_LOSS", $", \"pairwise_logistic_loss\": {{ {Session} }}")]
    [InlineData("PAIR_WISE_LOSS", $", \"pairwise_loss\": {{ {Session} }}")]
    [InlineData("RANKING_DISTILLATION_LOSS", $", \"ranking_distillation_loss\": {{ {Session}, \"weighting\": \"position\" }}")]
    [InlineData("RRD_LOSS", $", \"rrd_loss\": {{ {Session} }}")]
    [InlineData("SIGMOID_L2_LOSS", ", \"pred_name\": \"probs\", \"pred_is_logits\": false")]
    public void A_step_against_the_gradient_lowers_the_loss(string type, string more)
    {
        using var scope = NewDisposeScope();
        var objective = Create($""" "loss_type": "{type}"{more} """);
        var batch = Batch(objective);
        var logits = linspace(-1, 1, 20, dtype: ScalarType.Float32).reshape(20, 1).requires_grad_();

        var value = objective.Value(logits, batch)!;
        value.Backward();
        var moved = logits.detach().sub(logits.grad!.mul(0.1));

        Assert.True(objective.Value(moved, batch)!.Value < value.Value);
    }

    [Fact]
    public void Positions_are_the_teachers_order_within_the_record()
    {
        using var scope = NewDisposeScope();
        var objective = Create($""" "loss_type": "LISTWISE_DISTILL_LOSS", "listwise_distill_loss": {"{"} {Session} {"}"} """);
        var batch = Batch(objective);
        var logits = linspace(-1, 1, 20, dtype: ScalarType.Float32).reshape(20, 1);
        var expected = 0.0;
        for (var r = 0; r < 2; r++)
        {
            var teacher = Impressions.Record(r).Outputs[0].Logits;
            double[] gains = [.. teacher.Select(t => Math.Log(513) - Math.Log(1 + teacher.Count(other => other > t)))];
            double[] student = [.. Enumerable.Range(r * 10, 10).Select(i => (double)logits[i, 0].ToSingle())];
            var total = Math.Log(student.Sum(Math.Exp));
            expected -= gains.Zip(student, (gain, s) => gain / gains.Sum() * (s - total)).Sum() / 2;
        }

        Assert.Equal(expected, objective.Value(logits, batch)!.Value, 1e-5);
    }

    // Soft labels only for what was not shown: exposed candidates keep their hard labels.
    [Fact]
    public void An_origin_can_be_left_out()
    {
        using var scope = NewDisposeScope();
        var objective = Create("""
            "loss_type": "KL_DIVERGENCE_LOSS", "task_space_indicator_name": "origin", "task_space_indicator_value": "sampled", "out_task_space_weight": 0
            """);
        var batch = Batch(objective, record => record.Origin = ByteString.CopyFrom([(byte)CandidateOrigin.Sampled, .. record.Origin.Span[1..]]));
        var logits = zeros(20, 1).requires_grad_();
        objective.Value(logits, batch)!.Backward();

        var gradient = logits.grad!.data<float>().ToArray();
        Assert.All([0, 10], i => Assert.NotEqual(0, gradient[i]));
        Assert.All(Enumerable.Range(0, 20).Where(i => i % 10 != 0), i => Assert.Equal(0, gradient[i]));
    }

    [Theory]
    [InlineData("item_id", "7")]
    [InlineData("user_id", "3")]
    public void A_feature_can_be_the_task_space(string feature, string value)
    {
        using var scope = NewDisposeScope();
        var objective = Create($""" "loss_type": "KL_DIVERGENCE_LOSS", "task_space_indicator_name": "{feature}", "task_space_indicator_value": "{value}", "in_task_space_weight": 0 """);
        var batch = new FeatureBatch(Impressions.Schema, objective.Sources);
        for (var r = 0; r < 40; r++)
            batch.Add(Impressions.Record(r));
        var logits = zeros(400, 1).requires_grad_();
        objective.Value(logits, batch)!.Backward();

        var gradient = logits.grad!.data<float>().ToArray();
        var inside = Enumerable.Range(0, 400).Select(i => Value(Impressions.Record(i / 10), i % 10) == long.Parse(value, System.Globalization.CultureInfo.InvariantCulture)).ToArray();
        Assert.Contains(true, inside);
        Assert.All(Enumerable.Range(0, 400), i => Assert.Equal(inside[i], gradient[i] == 0));

        long Value(TeacherRecord record, int candidate) => feature == "user_id"
            ? record.User[0].Ints.Value[0]
            : System.Runtime.InteropServices.MemoryMarshal.Cast<byte, long>(record.Item[0].RawInt64.Span)[candidate];
    }

    [Fact]
    public void A_weight_follows_its_schedule()
    {
        using var scope = NewDisposeScope();
        var objective = Create(""" "loss_type": "L2_LOSS", "weight_schedule": { "before": 0, "from": 4, "to": 1, "start": 10, "steps": 6 } """);
        var batch = Batch(objective);
        var logits = zeros(20, 1);
        var whole = objective.Value(new KdServing.Distiller.Methods.LearningStep(batch, logits, 100))!.Value;

        Assert.Null(objective.Value(new KdServing.Distiller.Methods.LearningStep(batch, logits, 9)));
        Assert.Equal(4 * whole, objective.Value(new KdServing.Distiller.Methods.LearningStep(batch, logits, 10))!.Value, 1e-4);
        Assert.Equal(2.5 * whole, objective.Value(new KdServing.Distiller.Methods.LearningStep(batch, logits, 13))!.Value, 1e-4);
    }

    [Fact]
    public void A_candidate_without_a_hard_label_follows_the_teacher_alone()
    {
        using var scope = NewDisposeScope();
        var objective = Create(""" "loss_type": "HINTON_LOSS", "hinton_loss": { "hard_label_name": "label_click", "alpha": 1 } """);
        var batch = Batch(objective, record => record.Labels[0].States = ByteString.CopyFrom([(byte)LabelState.Unknown, .. record.Labels[0].States.Span[1..]]));
        var logits = zeros(20, 1).requires_grad_();
        objective.Value(logits, batch)!.Backward();

        var gradient = logits.grad!.data<float>().ToArray();
        Assert.Equal(0, gradient[0]);
        Assert.Equal(0.5 / 18, Math.Abs(gradient[1]), 1e-6);
    }

    [Theory]
    [InlineData(""" "loss_type": "JRC_LOSS", "jrc_loss": { "session_name": "request_id" } """, "loss_type", "preset jrc")]
    [InlineData(""" "loss_type": "INFO_NCE_LOSS" """, "loss_type", "preset info_nce")]
    [InlineData(""" "loss_type": "LISTWISE_RANK_LOSS", "listwise_rank_loss": { "session_name": "request_id" } """, "listwise_rank_loss.label_is_logits", "true: teachers stream logits")]
    [InlineData(""" "loss_type": "PAIR_WISE_LOSS", "pairwise_loss": { "session_name": "user_id" } """, "pairwise_loss.session_name", "'user_id' is unknown; must be 'request_id'")]
    [InlineData(""" "loss_type": "HINTON_LOSS", "hinton_loss": { "hard_label_name": "label_buy" } """, "hinton_loss.hard_label_name", "one of label, label_click")]
    [InlineData(""" "loss_type": "L2_LOSS", "task_space_indicator_name": "country", "task_space_indicator_value": "1" """, "task_space_indicator_name", "one of origin, user_id, item_id, price, clicks")]
    [InlineData(""" "loss_type": "L2_LOSS", "task_space_indicator_name": "history", "task_space_indicator_value": "1" """, "task_space_indicator_value", "is a sequence")]
    [InlineData(""" "loss_type": "L2_LOSS", "task_space_indicator_name": "item_id", "task_space_indicator_value": "red" """, "task_space_indicator_value", "not a whole number")]
    [InlineData(""" "loss_type": "L2_LOSS", "task_space_indicator_name": "price", "task_space_indicator_value": "cheap" """, "task_space_indicator_value", "not a number")]
    [InlineData(""" "loss_type": "L2_LOSS", "weight_schedule": { "steps": -1 } """, "weight_schedule.steps", "0 or more")]
    [InlineData(""" "loss_type": "L2_LOSS", "task_space_indicator_name": "origin", "task_space_indicator_value": "shown" """, "task_space_indicator_value", "exposed, sampled, probe")]
    public void What_the_stream_does_not_carry_is_refused_at_start(string entry, string field, string remedy)
    {
        var fault = Assert.Throws<ContractException>(() => Create(entry));

        Assert.Equal($"kd[0].{field}", fault.Field);
        Assert.Contains(remedy, fault.Reason, StringComparison.Ordinal);
    }

    private static Objective Create(string entry) =>
        new(Impressions.Schema, new() { Weight = 0 }, [Tables.Entry(entry) with { SoftLabelName = "teacher_logits" }]);

    private static FeatureBatch Batch(Objective objective, Action<TeacherRecord>? change = null)
    {
        var batch = new FeatureBatch(Impressions.Schema, objective.Sources);
        for (var r = 0; r < 2; r++)
        {
            var record = Impressions.Record(r);
            change?.Invoke(record);
            batch.Add(record);
        }
        return batch;
    }
}
