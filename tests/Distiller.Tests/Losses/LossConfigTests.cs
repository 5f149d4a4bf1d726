using KdServing.Contracts;

namespace KdServing.Distiller.Tests.Losses;

/// <summary>Every mistake in a kd entry is refused at start with its field, its value and what is valid. Distiller and 'losses eval' share the checks.</summary>
public sealed class LossConfigTests
{
    [Theory]
    [InlineData(""" "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "logit" """, "pred_name", "'logit' is not a column of the table; one of logits, soft, soft_probs")]
    [InlineData(""" "loss_type": "KL_DIVERGENCE_LOSS", "soft_label_name": "pay" """, "soft_label_name", "'pay' is not a column of the table; one of logits, soft")]
    [InlineData(""" "loss_type": "KL_DIVERGENCE_LOSS", "temperature": 0 """, "temperature", "is 0; must be above 0")]
    [InlineData(""" "loss_type": "CROSS_ENTROPY_LOSS", "temperature": -2 """, "temperature", "is -2; must be above 0")]
    [InlineData(""" "loss_type": "KL_DIVERGENCE_LOSS", "loss_weight": -1 """, "loss_weight", "is -1; must be 0 or more")]
    [InlineData(""" "loss_type": "KL_LOSS" """, "loss_type", "'KL_LOSS' is unknown; one of BINARY_CROSS_ENTROPY_LOSS, ")]
    [InlineData(""" "loss_type": "SOFTMAX_CROSS_ENTROPY" """, "loss_type", "cannot be used in kd; one of BINARY_CROSS_ENTROPY_LOSS, ")]
    [InlineData(""" "loss_weight": 1 """, "loss_type", "is missing; one of ")]
    [InlineData(""" "loss_type": "KL_DIVERGENCE_LOSS", "label_is_logits": false """, "label_is_logits", "'soft' holds 1.5; must be a probability from 0 to 1")]
    [InlineData(""" "loss_type": "KL_DIVERGENCE_LOSS", "pred_is_logits": false """, "pred_is_logits", "'logits' holds -0.5; must be a probability")]
    [InlineData(""" "loss_type": "LISTWISE_RANK_LOSS", "listwise_rank_loss": { "session_name": "session" } """, "listwise_rank_loss.label_is_logits", "set it to true for logits")]
    [InlineData(""" "loss_type": "BINARY_FOCAL_LOSS" """, "soft_label_name", "'soft' holds 1.5; must be a probability")]
    [InlineData(""" "loss_type": "LISTWISE_DISTILL_LOSS", "listwise_distill_loss": { "session_name": "session" } """, "soft_label_name", "a place among the candidates")]
    [InlineData(""" "loss_type": "LISTWISE_RANK_LOSS", "listwise_rank_loss": { "label_is_logits": true } """, "listwise_rank_loss.session_name", "is missing")]
    [InlineData(""" "loss_type": "PAIRWISE_LOGISTIC_LOSS" """, "pairwise_logistic_loss.session_name", "is missing")]
    [InlineData(""" "loss_type": "JRC_LOSS" """, "jrc_loss.session_name", "is missing")]
    [InlineData(""" "loss_type": "COPR_LOSS" """, "copr_loss.session_name", "is missing")]
    [InlineData(""" "loss_type": "PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss": { "session_name": "user" } """, "pairwise_hinge_loss.session_name", "'user' is not a column")]
    [InlineData(""" "loss_type": "PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss": { "session_name": "session", "temperature": 0 } """, "pairwise_hinge_loss.temperature", "above 0")]
    [InlineData(""" "loss_type": "PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss": { "session_name": "session", "ohem_ratio": 0 } """, "pairwise_hinge_loss.ohem_ratio", "is 0; must be above 0 and at most 1")]
    [InlineData(""" "loss_type": "BINARY_FOCAL_LOSS", "binary_focal_loss": { "ohem_ratio": 1.5 } """, "binary_focal_loss.ohem_ratio", "is 1.5; must be above 0 and at most 1")]
    [InlineData(""" "loss_type": "PAIRWISE_HINGE_LOSS", "listwise_rank_loss": { } """, "listwise_rank_loss", "does not belong to PAIRWISE_HINGE_LOSS, which has the block 'pairwise_hinge_loss'")]
    [InlineData(""" "loss_type": "L2_LOSS", "softmax_loss": { } """, "softmax_loss", "does not belong to L2_LOSS, which has no block")]
    [InlineData(""" "loss_type": "L2_LOSS", "loss_wieght": 2 """, "loss_wieght", "is unknown; one of loss_name, pred_name")]
    [InlineData(""" "loss_type": "PAIR_WISE_LOSS", "pairwise_loss": { "margn": 1 } """, "pairwise_loss.margn", "is unknown; one of margin, session_name, temperature")]
    [InlineData(""" "loss_type": "PAIR_WISE_LOSS", "pairwise_loss": { "margin": "far" } """, "pairwise_loss.margin", "wrong kind")]
    [InlineData(""" "loss_type": "PAIRWISE_HINGE_LOSS", "temperature": 2, "pairwise_hinge_loss": { "session_name": "session" } """, "temperature", "set pairwise_hinge_loss.temperature")]
    [InlineData(""" "loss_type": "LISTWISE_RANK_LOSS", "listwise_rank_loss": { "session_name": "session", "transform_fn": "lambda x: x" } """, "listwise_rank_loss.transform_fn", "Python")]
    [InlineData(""" "loss_type": "JRC_LOSS", "jrc_loss": { "session_name": "session", "loss_weight_strategy": "uncertainty" } """, "jrc_loss.loss_weight_strategy", "'uncertainty' is not supported; fixed")]
    [InlineData(""" "loss_type": "JRC_LOSS", "jrc_loss": { "session_name": "session" } """, "pred_name", "JRC_LOSS needs two")]
    [InlineData(""" "loss_type": "HINTON_LOSS" """, "hinton_loss.hard_label_name", "is missing")]
    [InlineData(""" "loss_type": "HINTON_LOSS", "hinton_loss": { "hard_label_name": "place" } """, "hinton_loss.hard_label_name", "whole number from 0 to 1")]
    [InlineData(""" "loss_type": "COPR_LOSS", "copr_loss": { "session_name": "session", "bid_name": "soft" } """, "copr_loss.bid_name", "bids must be above 0")]
    [InlineData(""" "loss_type": "LISTWISE_PROB_LOSS", "listwise_prob_loss": { "session_name": "session" }, "task_space_indicator_name": "space", "task_space_indicator_value": "1" """,
        "task_space_indicator_name", "'space' is given, but LISTWISE_PROB_LOSS cannot weigh single candidates")]
    [InlineData(""" "loss_type": "KL_DIVERGENCE_LOSS", "easyrec_compat": true, "task_space_indicator_name": "space", "task_space_indicator_value": "1" """,
        "task_space_indicator_name", "cannot weigh single candidates in EasyRec")]
    [InlineData(""" "loss_type": "L2_LOSS", "task_space_indicator_name": "space" """, "task_space_indicator_value", "is missing")]
    [InlineData(""" "loss_type": "L2_LOSS", "out_task_space_weight": 0.5 """, "task_space_indicator_name", "is missing")]
    [InlineData(""" "loss_type": "L2_LOSS", "task_space_indicator_name": "country", "task_space_indicator_value": "1" """, "task_space_indicator_name", "'country' is not a column")]
    [InlineData(""" "loss_type": "L2_LOSS", "scale_by_t2": true """, "scale_by_t2", "loss_weight")]
    public void A_mistake_is_named_with_what_is_valid(string entry, string field, string remedy)
    {
        var fault = Assert.Throws<ContractException>(() => Tables.Evaluate(Tables.Sessions, entry));

        Assert.Equal($"kd[0].{field}", fault.Field);
        Assert.Contains(remedy, fault.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "logits": [1] }""", "--table", "has no columns")]
    [InlineData("""{ "columns": { "logits": [1, 2], "soft": [1] } }""", "columns.soft", "has 1 rows, 'logits' has 2")]
    [InlineData("""{ "columns": { "logits": [1, "x"], "soft": [1, 2] } }""", "columns.logits[1]", "must be a finite number")]
    [InlineData("""{ "columns": { "logits": [1, null], "soft": [1, 2] } }""", "columns.logits[1]", "must be a finite number")]
    [InlineData("""{ "columns": { "logits": [[1, 2], [1]], "soft": [1, 2] } }""", "columns.logits[1]", "an array of 2 numbers")]
    [InlineData("""{ "columns": { "logits": [[1, 2]], "soft": [1] } }""", "kd[0].soft_label_name", "compares it with 2")]
    [InlineData("[", "--table", "is not valid JSON")]
    public void A_mistake_in_the_table_too(string table, string field, string remedy)
    {
        var fault = Assert.Throws<ContractException>(() => Tables.Evaluate(table, """ "loss_type": "KL_DIVERGENCE_LOSS" """));

        Assert.Equal(field, fault.Field);
        Assert.Contains(remedy, fault.Reason, StringComparison.Ordinal);
    }

    // A row the teacher did not score is as if it were not there.
    [Theory]
    [InlineData("null")]
    [InlineData("\"NaN\"")]
    public void An_unknown_soft_label_teaches_nothing(string unknown)
    {
        const string Entry = """ "loss_type": "PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss": { "session_name": "session" } """;
        var with = Tables.Evaluate($$"""{ "columns": { "logits": [0.2, 1, 3], "soft": [1.5, 0.3, {{unknown}}], "session": [1, 1, 1] } }""", Entry);
        var without = Tables.Evaluate("""{ "columns": { "logits": [0.2, 1], "soft": [1.5, 0.3], "session": [1, 1] } }""", Entry);

        Assert.Equal(without.Value, with.Value);
        Assert.Equal([.. Tables.Gradient(without), 0], Tables.Gradient(with));
    }

    [Fact]
    public void A_table_without_rows_has_no_loss()
    {
        var report = Tables.Evaluate("""{ "columns": { "logits": [], "soft": [] } }""", """ "loss_type": "INFO_NCE_LOSS" """);

        Assert.Equal(0, report.Value);
        Assert.Empty(report.Gradient);
    }

    [Fact]
    public void A_loss_that_is_no_number_is_refused()
    {
        var fault = Assert.Throws<ContractException>(() =>
            Tables.Evaluate(Tables.Sessions, """ "loss_type": "CROSS_ENTROPY_LOSS", "label_is_logits": false, "easyrec_compat": true """));

        Assert.Equal("kd[0]", fault.Field);
    }
}
