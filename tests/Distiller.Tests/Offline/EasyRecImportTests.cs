using System.Text.Json;
using System.Text.Json.Nodes;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Offline.EasyRec;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Offline;

public sealed class EasyRecImportTests
{
    // The shape of kd.md's first example: a pipeline whose other parts are left out with "...".
    private const string Pipeline = """
        model_dir: "oss://bucket/experiments/dssm_kd/"
        train_config { num_steps: 1000 optimizer_config { adam_optimizer {} } }
        data_config {
          input_fields { input_name:'clk' input_type: INT32 }

          ...

          input_fields { input_name: 'kd_soft' input_type: DOUBLE }
          label_fields: ['clk', 'kd_soft']
        }
        feature_config: { features: { input_names: 'user_id' } }
        model_config {
          model_class: "DSSM"

          ...

          kd {
            soft_label_name: 'kd_soft'
            pred_name: 'logits'
            loss_type: CROSS_ENTROPY_LOSS
            loss_weight: 1.0
            temperature: 2.0
          }
        }
        """;

    // kd.md's pairwise and listwise examples.
    private const string RankBlocks = """
        kd {
          loss_name: 'ctcvr_rank_loss'
          soft_label_name: 'pay_logits'
          pred_name: 'logits'
          loss_type: PAIRWISE_HINGE_LOSS
          loss_weight: 1.0
          pairwise_hinge_loss {
            session_name: "raw_query"
            use_exponent: false
            use_label_margin: true
          }
        }
        kd {
          loss_name: 'ctcvr_list_loss'
          soft_label_name: 'pay_logits'
          pred_name: 'logits'
          loss_type: LISTWISE_RANK_LOSS
          loss_weight: 0.5f
          listwise_rank_loss: < session_name: "raw_query" temperature: 3.0 label_is_logits: true >
        }
        """;

    [Fact]
    public void A_pipelines_kd_block_comes_over_field_for_field()
    {
        var import = EasyRecImport.Of(Pipeline);

        Assert.True(JsonNode.DeepEquals(JsonNode.Parse("""
            { "model": "dssm_kd", "kd": [ { "soft_label_name": "kd_soft", "pred_name": "logits", "loss_type": "CROSS_ENTROPY_LOSS", "loss_weight": 1.0, "temperature": 2.0 } ] }
            """), JsonNode.Parse(import.Json.ToJsonString())), import.Json.ToJsonString());
    }

    [Fact]
    public void What_has_no_counterpart_is_listed_with_its_place()
    {
        var import = EasyRecImport.Of(Pipeline);

        Assert.Equal(["model_dir", "train_config", "data_config", "feature_config"], import.NotImported.Select(n => n.Name));
        Assert.Equal(new TextPosition(2, 1), import.NotImported[1].First);
    }

    [Fact]
    public void Inner_blocks_come_over_and_our_losses_accept_them()
    {
        var kd = EasyRecImport.Of(RankBlocks).Json["kd"]!;

        Assert.Equal("raw_query", (string?)kd[0]!["pairwise_hinge_loss"]!["session_name"]);
        Assert.False((bool)kd[0]!["pairwise_hinge_loss"]!["use_exponent"]!);
        Assert.Equal(3, (double)kd[1]!["listwise_rank_loss"]!["temperature"]!);
        Assert.Equal(0.5, (double)kd[1]!["loss_weight"]!);
        foreach (var (entry, index) in kd.Deserialize<List<KdLossConfig>>(KdServing.Contracts.ContractJson.Options)!.Select((e, i) => (e, i)))
            LossCatalogue.Create(entry, $"kd[{index}]");
    }

    [Fact]
    public void With_a_target_the_result_can_be_trained()
    {
        var json = EasyRecImport.Of(RankBlocks, "shop", "click").Json.ToJsonString();
        var schema = Training.Impressions.Schema;
        var config = DistillerConfig.Parse(json);

        using var method = Distiller.Methods.Method.Create(schema, Distiller.Students.StudentConfig.Parse("""{ "family": "mlp", "first_layer": 4 }"""), config);

        Assert.Equal([new SoftLabelSource("pay_logits", "click")], method.Objective.Sources);
    }

    [Fact]
    public void Every_field_of_kd_and_its_blocks_is_known()
    {
        var text = """
            kd { loss_name: "n" pred_name: "logits" pred_is_logits: true soft_label_name: "s" label_is_logits: false loss_type: BINARY_FOCAL_LOSS
              loss_weight: 2 temperature: 1.5 task_space_indicator_name: "f" task_space_indicator_value: "v" in_task_space_weight: 1 out_task_space_weight: 0
              binary_focal_loss { gamma: 2 alpha: 0.5 ohem_ratio: 1 label_smoothing: 0 } f1_reweighted_loss { f1_beta_square: 1 label_smoothing: 0 }
              pairwise_loss { margin: 0 session_name: "q" temperature: 1 }
              pairwise_focal_loss { gamma: 2 alpha: 0.5 hinge_margin: 1 session_name: "q" ohem_ratio: 1 temperature: 1 }
              pairwise_logistic_loss { temperature: 1 session_name: "q" hinge_margin: 1 ohem_ratio: 1 use_label_margin: true }
              jrc_loss { session_name: "q" alpha: 0.5 same_label_loss: true loss_weight_strategy: "fixed" }
              pairwise_hinge_loss { temperature: 1 session_name: "q" margin: 1 ohem_ratio: 1 label_is_logits: true use_label_margin: true use_exponent: false }
              listwise_rank_loss { temperature: 1 session_name: "q" label_is_logits: true transform_fn: "" scale_logits: false }
              listwise_distill_loss { temperature: 1 session_name: "q" label_clip_max_value: 512 transform_fn: "" scale_logits: false } }
            """;
        var entry = EasyRecImport.Of(text).Json["kd"]![0]!.AsObject();

        Assert.Equal(12 + 9, entry.Count);
        Assert.Equal(7, entry["pairwise_hinge_loss"]!.AsObject().Count);
    }

    [Fact]
    public void Notes_tell_what_easyrec_would_do_otherwise()
    {
        var twice = EasyRecImport.Of("data_config { label_fields: 'clk' } kd { pred_name: 'logits' soft_label_name: 's' loss_type: L2_LOSS softmax_loss {} } "
            + "kd { pred_name: 'logits' soft_label_name: 's' loss_type: KL_DIVERGENCE_LOSS }").Notes;

        Assert.Contains(twice, n => n.Contains("'s' is not among data_config.label_fields"));
        Assert.Contains(twice, n => n.Contains("softmax_loss is left out"));
        Assert.Contains(twice, n => n.Contains("'kd_loss_logits_s'"));
        Assert.Contains(EasyRecImport.Of("model_config { model_class: 'ESMM' kd { pred_name: 'logits' soft_label_name: 's' loss_type: L2_LOSS } }").Notes, n => n.Contains("ESMM ignores kd"));
    }

    [Fact]
    public void Equal_loss_names_are_told_apart()
    {
        var import = EasyRecImport.Of(RankBlocks.Replace("ctcvr_list_loss", "ctcvr_rank_loss"));

        Assert.Equal(["ctcvr_rank_loss", "ctcvr_rank_loss_2"], import.Json["kd"]!.AsArray().Select(k => (string?)k!["loss_name"]));
        Assert.Contains("13:1: the loss name 'ctcvr_rank_loss' is taken", import.Notes.Single());
    }

    [Theory]
    [InlineData("kd {\n  pred_name: 'logits'\n  lose_weight: 1 }", "3:3: 'lose_weight' is no field of kd; one of loss_name")]
    [InlineData("kd { pred_name: logits }", "1:17: pred_name must be a string in quotes, not logits")]
    [InlineData("kd { temperature: 'hot' }", "1:19: temperature must be a number, not \"hot\"")]
    [InlineData("kd { pred_is_logits: yes }", "1:22: pred_is_logits must be true or false, not yes")]
    [InlineData("kd { pairwise_hinge_loss { margins: 1 } }", "1:28: 'margins' is no field of pairwise_hinge_loss")]
    [InlineData("kd { pred_name: 'logits' soft_label_name: 's' }", "1:1: this kd block lacks loss_type")]
    [InlineData("kd { pred_name: 'logits' soft_label_name: 's' loss_type: CIRCLE_LOSS }", "1:47: 'CIRCLE_LOSS' can not be used in kd")]
    [InlineData("kd { pred_name: 'a' pred_name: 'b' }", "1:21: pred_name stands twice")]
    [InlineData("model_config { model_class: 'DSSM' }", "1:1: there is no kd block")]
    public void Errors_name_place_and_remedy(string text, string message) =>
        Assert.StartsWith(message, Assert.Throws<TextFormatException>(() => EasyRecImport.Of(text)).Message);
}
