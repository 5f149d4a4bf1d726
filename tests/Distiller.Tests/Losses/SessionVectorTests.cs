using KdServing.Distiller.Losses;

namespace KdServing.Distiller.Tests.Losses;

/// <summary>Values and gradients of losses over the pairs and lists of a session, float64, 1e-6; the numbers as in <see cref="PointwiseVectorTests"/>.</summary>
public sealed class SessionVectorTests
{
    private const string FirstIsOut = """ "task_space_indicator_name": "space", "task_space_indicator_value": "1" """;

    [Theory]
    [InlineData("", "", 1.275)]
    [InlineData(""" "temperature": 2 """, "", 0.6375)]
    [InlineData(""" "temperature": 2, "label_is_logits": false """, "", 1.325)]
    [InlineData(""" "use_label_margin": false """, "", 0.925)]
    [InlineData(""" "use_label_margin": false, "margin": 0.5 """, "", 0.6)]
    [InlineData("", """ "loss_weight": 0.5 """, 0.6375)]
    [InlineData(""" "ohem_ratio": 0.5 """, "", 1.9)]
    [InlineData("", $""" {FirstIsOut}, "out_task_space_weight": 0.5 """, 0.8)]
    [InlineData("", $""" {FirstIsOut}, "out_task_space_weight": 0 """, 0.65)]
    [InlineData("", """ "soft_label_name": "flat" """, 0)]
    [InlineData(""" "ohem_ratio": 0.5 """, """ "soft_label_name": "flat" """, 0)]
    [InlineData("", """ "soft_label_name": "logits" """, 0)]
    [InlineData(""" "use_exponent": true """, """ "easyrec_compat": true """, 0.28185157)]
    [InlineData(""" "use_exponent": true, "use_label_margin": false """, """ "easyrec_compat": true """, 1.52943932)]
    [InlineData(""" "use_exponent": true """, "", 0.33531422)]
    [InlineData(""" "use_exponent": true, "use_label_margin": false """, "", 1.64801457)]
    public void Pairwise_hinge(string block, string entry, double expected) =>
        Assert.Equal(expected, Evaluate("PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss", block, entry).Value, 1e-6);

    // Without a block EasyRec knows no sessions and pairs the whole batch.
    [Fact]
    public void Pairwise_hinge_over_the_batch_only_for_compatibility() => Assert.Equal(1.02,
        Tables.Evaluate(Tables.Sessions, """ "loss_type": "PAIRWISE_HINGE_LOSS", "easyrec_compat": true """).Value, 1e-6);

    [Theory]
    [InlineData("", 0.70329699)]
    [InlineData(""" "temperature": 2 """, 0.67190591)]
    [InlineData(""" "hinge_margin": 1 """, 1.26632765)]
    [InlineData(""" "use_label_margin": true """, 1.55476324)]
    [InlineData(""" "use_label_margin": true, "temperature": 2 """, 1.06721689)]
    [InlineData(""" "ohem_ratio": 0.5 """, 1.10429431)]
    public void Pairwise_logistic(string block, double expected) =>
        Assert.Equal(expected, Evaluate("PAIRWISE_LOGISTIC_LOSS", "pairwise_logistic_loss", block).Value, 1e-6);

    [Fact]
    public void Pairwise_logistic_weighs_a_pair_by_its_winner() => Assert.Equal(0.50651115,
        Evaluate("PAIRWISE_LOGISTIC_LOSS", "pairwise_logistic_loss", "", $""" {FirstIsOut}, "out_task_space_weight": 0.5 """).Value, 1e-6);

    [Theory]
    [InlineData("", 0.26027823)]
    [InlineData(""" "hinge_margin": 1 """, 0.34480335)]
    [InlineData(""" "hinge_margin": 0.5 """, 0.49500977)]
    [InlineData(""" "alpha": 0.25 """, 0.06506956)]
    [InlineData(""" "temperature": 2 """, 0.18503480)]
    public void Pairwise_focal(string block, double expected) =>
        Assert.Equal(expected, Evaluate("PAIRWISE_FOCAL_LOSS", "pairwise_focal_loss", block).Value, 1e-6);

    [Theory]
    [InlineData("", 0.70329699)]
    [InlineData(""" "margin": 0.5, "temperature": 2 """, 0.93978775)]
    public void Pair_wise(string block, double expected) => Assert.Equal(expected, Evaluate("PAIR_WISE_LOSS", "pairwise_loss", block).Value, 1e-6);

    [Theory]
    [InlineData(""" "label_is_logits": true, "temperature": 3 """, "", 0.90180063)]
    [InlineData(""" "label_is_logits": true """, "", 1.01002144)]
    [InlineData(""" "label_is_logits": true, "temperature": 3 """, """ "loss_weight": 0.5 """, 0.45090032)]
    [InlineData("", """ "soft_label_name": "soft_probs" """, 1.44492087)]
    [InlineData(""" "temperature": 3 """, """ "soft_label_name": "soft_probs" """, 1.34187543)]
    [InlineData(""" "temperature": 3 """, """ "easyrec_compat": true """, 0.71454717)]
    [InlineData(""" "label_is_logits": true, "temperature": 3 """, """ "pred_name": "soft" """, 0.86505131)]
    [InlineData(""" "label_is_logits": true """, """ "pred_name": "soft" """, 0.68477542)]
    public void Listwise_rank(string block, string entry, double expected) =>
        Assert.Equal(expected, Evaluate("LISTWISE_RANK_LOSS", "listwise_rank_loss", block, entry).Value, 1e-6);

    [Fact]
    public void A_session_of_one_candidate_counts_in_the_mean() => Assert.Equal(0.60120042, Tables.Evaluate(
        """{ "columns": { "logits": [0.2, 1, -0.5, 0.7, 0.1, 0.4], "soft": [1.5, 0.3, -1, 0.2, 0.9, 0.6], "session": [1, 1, 1, 2, 2, 3] } }""",
        """ "loss_type": "LISTWISE_RANK_LOSS", "listwise_rank_loss": { "session_name": "session", "temperature": 3, "label_is_logits": true } """).Value, 1e-6);

    // A teacher that stored its three highest logits, and one that stored all.
    [Theory]
    [InlineData(""", "label_top_k": 3 """, 0.81836890)]
    [InlineData("", 0.86765114)]
    public void Listwise_rank_of_stored_logits(string block, double expected) => Assert.Equal(expected, Tables.Evaluate(
        """{ "columns": { "logits": [2, 1.5, 0, -0.5, -1], "soft": [3, 1, 0.5, -1, -2], "session": [1, 1, 1, 1, 1] } }""",
        $$""" "loss_type": "LISTWISE_RANK_LOSS", "listwise_rank_loss": { "session_name": "session", "label_is_logits": true{{block}} } """).Value, 1e-6);

    [Fact]
    public void Order_calibrate() => Assert.Equal(0.03333333, Tables.Evaluate(
        """{ "columns": { "probs": [0.30, 0.05, 0.60], "soft": [0.20, 0.10, 0.65] } }""",
        """ "loss_type": "ORDER_CALIBRATE_LOSS", "pred_name": "probs", "pred_is_logits": false """).Value, 1e-6);

    // Scores in the teacher's order, two uninteresting candidates below them: all are taken, nothing is drawn.
    [Fact]
    public void Rrd() => Assert.Equal(2.35046980, Tables.Evaluate(
        """{ "columns": { "logits": [2, 1, 0.5, 0.3, -0.2], "soft": [9, 8, 7, 1, 0], "session": [1, 1, 1, 1, 1] } }""",
        """ "loss_type": "RRD_LOSS", "rrd_loss": { "session_name": "session" } """).Value, 1e-6);

    [Theory]
    [InlineData(""" "weighting": "position" """, 0.25859420)]
    [InlineData(""" "mu": 0.001, "catalogue_size": 1000 """, 0.11210621)]
    public void Ranking_distillation(string block, double expected) => Assert.Equal(expected, Tables.Evaluate(
        """{ "columns": { "logits": [2, 1, -0.5, 0.3, 1.5, 0.5, -1, 0.8, 2.5], "soft": [9, 8, 7, 6, 1, 1, 1, 1, 1], "session": [1, 1, 1, 1, 1, 1, 1, 1, 1] } }""",
        $$""" "loss_type": "RANKING_DISTILLATION_LOSS", "ranking_distillation_loss": { "session_name": "session", "k": 4, {{block}} } """).Value, 1e-6);

    [Theory]
    [InlineData("", 1.00994589)]
    [InlineData(""" "temperature": 2 """, 0.92523504)]
    [InlineData(""" "label_clip_max_value": 2 """, 1.08440151)]
    public void Listwise_distill(string block, double expected) =>
        Assert.Equal(expected, Evaluate("LISTWISE_DISTILL_LOSS", "listwise_distill_loss", block, """ "soft_label_name": "place" """).Value, 1e-6);

    [Theory]
    [InlineData("logits", 0.89108684)]
    [InlineData("soft", 0.84793129)]
    public void Listwise_of_probabilities(string prediction, double expected) =>
        Assert.Equal(expected, Evaluate("LISTWISE_PROB_LOSS", "listwise_prob_loss", "", $""" "pred_name": "{prediction}" """).Value, 1e-6);

    [Theory]
    [InlineData("PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss", "", new[] { -0.5, 0.25, 0.25, 0.25, -0.25 })]
    [InlineData("PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss", """ "use_exponent": true """, new[] { -0.18474318, 0.07513557, 0.08559670, 0.07514450, -0.08452030 })]
    [InlineData("PAIRWISE_LOGISTIC_LOSS", "pairwise_logistic_loss", "", new[] { -0.25544668, 0.12688724, 0.12855944, 0.16141408, -0.16141408 })]
    [InlineData("LISTWISE_RANK_LOSS", "listwise_rank_loss", """ "label_is_logits": true, "temperature": 3 """, new[] { -0.02537271, 0.01717490, 0.00819781, 0.01798402, -0.01798402 })]
    [InlineData("LISTWISE_RANK_LOSS", "listwise_rank_loss", """ "label_is_logits": true """, new[] { -0.22712810, 0.19009133, 0.03703677, 0.15692204, -0.15692204 })]
    [InlineData("LISTWISE_PROB_LOSS", "listwise_prob_loss", "", new[] { -0.03616911, 0.01276971, 0.02045700, 0.02055692, -0.02942919 })]
    public void Gradient(string type, string name, string block, double[] expected)
    {
        var gradient = Tables.Gradient(Evaluate(type, name, block));

        Assert.Equal(expected.Length, gradient.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], gradient[i], 1e-6);
    }

    [Fact]
    public void EasyRecs_exponent_teaches_nothing_and_ours_does()
    {
        Assert.All(Tables.Gradient(Evaluate("PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss", """ "use_exponent": true """, """ "easyrec_compat": true """)),
            g => Assert.Equal(0, g));
        Assert.NotEqual(Evaluate("PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss", """ "use_exponent": true """).Value,
            Evaluate("PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss", """ "use_exponent": true """, """ "pred_name": "soft_probs" """).Value, 1e-3);
    }

    [Theory]
    [InlineData(""" "alpha": 1 """, "", 0.46026362)]
    [InlineData(""" "alpha": 0 """, "", 0.72520274)]
    [InlineData(""" "alpha": 0, "same_label_loss": false """, "", 0.51935057)]
    [InlineData("", "", 0.59273318)]
    [InlineData(""" "same_label_loss": false """, "", 0.48980710)]
    [InlineData(""" "alpha": 0.3 """, "", 0.64572100)]
    [InlineData("", """, "loss_weight": 0.5 """, 0.29636659)]
    [InlineData("", """, "loss_weight": 0.5, "easyrec_compat": true """, 0.23883364)]
    public void Jrc(string block, string entry, double expected) => Assert.Equal(expected, Tables.Evaluate(Tables.TwoLogits,
        $$""" "loss_type": "JRC_LOSS", "soft_label_name": "label", "jrc_loss": { "session_name": "session"{{(block == "" ? "" : ",")}}{{block}} }{{entry}} """).Value, 1e-6);

    [Fact]
    public void Copr() => Assert.Equal(0.05410924, Tables.Evaluate(Tables.Auction, """
        "loss_type": "COPR_LOSS", "pred_name": "probs", "pred_is_logits": false, "soft_label_name": "soft_probs", "label_is_logits": false,
        "copr_loss": { "session_name": "session", "bid_name": "bid" }
        """).Value, 1e-6);

    private static LossReport Evaluate(string type, string name, string block, string entry = "") => Tables.Evaluate(Tables.Sessions,
        $$""" "loss_type": "{{type}}", "{{name}}": { "session_name": "session"{{(block == "" ? "" : ",")}}{{block}} }{{(entry == "" ? "" : ",")}}{{entry}} """);
}
