using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Losses;

namespace KdServing.Distiller.Tests.Losses;

/// <summary>What a kd list may say, and what it is told when it says something else.</summary>
public sealed class ObjectiveConfigTests
{
    private static readonly FeatureSchema Schema = FeatureSchema.Parse("""
        { "name": "shop", "targets": ["click", "buy"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 100, "dim": 2 },
          { "name": "item_id", "side": "item", "kind": "hash", "buckets": 100, "dim": 2 } ] }
        """);

    [Fact]
    public void EasyRecs_field_names_are_understood()
    {
        var objective = Create("""
            [ { "loss_name": "a", "pred_name": "logits_click", "pred_is_logits": true, "soft_label_name": "ranker/click", "label_is_logits": true,
                "loss_type": "CROSS_ENTROPY_LOSS", "loss_weight": 0.5, "temperature": 2 },
              { "pred_name": "logits_buy", "soft_label_name": "teacher_logits", "loss_type": "LISTWISE_RANK_LOSS",
                "listwise_rank_loss": { "temperature": 3, "session_name": "request_id", "label_is_logits": true } } ]
            """);

        Assert.Equal([new("ranker", "click"), new(null, "buy")], objective.Sources);
    }

    [Theory]
    [InlineData("""{ "loss_type": "SOFTMAX_LOSS", "pred_name": "logits_buy", "soft_label_name": "teacher_logits" }""",
        "kd[0].loss_type", "BINARY_CROSS_ENTROPY_LOSS, BINARY_FOCAL_LOSS, CLASSIFICATION, COPR_LOSS")]
    [InlineData("""{ "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "logits", "soft_label_name": "teacher_logits" }""",
        "kd[0].pred_name", "logits_click, probs_click, logits_buy, probs_buy")]
    [InlineData("""{ "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "logits_buy", "soft_label_name": "ranker/sale" }""", "kd[0].soft_label_name", "click, buy")]
    [InlineData("""{ "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "probs_buy", "soft_label_name": "teacher_logits" }""", "kd[0].pred_is_logits", "false")]
    [InlineData("""{ "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "logits_buy", "soft_label_name": "teacher_logits", "temperature": 0 }""",
        "kd[0].temperature", "above 0")]
    [InlineData("""{ "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "logits_buy", "soft_label_name": "teacher_logits", "label_is_logits": false }""",
        "kd[0].label_is_logits", "true")]
    [InlineData("""{ "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "logits_buy", "soft_label_name": "teacher_logits", "loss_wieght": 2 }""",
        "kd[0].loss_wieght", "unknown")]
    [InlineData("""{ "loss_type": "LISTWISE_RANK_LOSS", "pred_name": "logits_buy", "soft_label_name": "teacher_logits" }""",
        "kd[0].listwise_rank_loss.session_name", "request_id")]
    [InlineData("""{ "loss_type": "LISTWISE_RANK_LOSS", "pred_name": "logits_buy", "soft_label_name": "teacher_logits", "temperature": 2 }""",
        "kd[0].temperature", "listwise_rank_loss.temperature")]
    [InlineData("""{ "loss_type": "LISTWISE_RANK_LOSS", "pred_name": "logits_buy", "soft_label_name": "teacher_logits", "listwise_rank_loss": { "sesion": 1 } }""",
        "kd[0].listwise_rank_loss.sesion", "temperature, session_name, label_is_logits")]
    public void A_mistake_is_named_with_its_remedy(string entry, string field, string remedy)
    {
        var fault = Assert.Throws<ContractException>(() => Create($"[{entry}]"));

        Assert.Equal(field, fault.Field);
        Assert.Contains(remedy, fault.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_losses_of_one_name_are_refused()
    {
        const string Entry = """{ "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "logits_buy", "soft_label_name": "a/buy" }""";

        var fault = Assert.Throws<ContractException>(() => Create($"[{Entry}, {Entry}]"));

        Assert.Equal("kd[1].loss_name", fault.Field);
        Assert.Contains("kd_loss_logits_buy_a_buy", fault.Reason, StringComparison.Ordinal);
    }

    private static Objective Create(string kd) =>
        new(Schema, new(), JsonSerializer.Deserialize<List<KdLossConfig>>(kd, ContractJson.Options)!);
}
