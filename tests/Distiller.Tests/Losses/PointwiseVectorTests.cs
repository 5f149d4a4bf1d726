using TorchSharp;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Losses;

/// <summary>Values and gradients of losses without sessions, float64, 1e-6. The numbers are those of EasyRec's own functions run in NumPy.</summary>
public sealed class PointwiseVectorTests
{
    private const string Probabilities = """ "pred_name": "probs", "pred_is_logits": false, "soft_label_name": "soft_probs", "label_is_logits": false """;
    private const string Masked = """ "task_space_indicator_name": "space", "task_space_indicator_value": "in" """;

    [Theory]
    [InlineData(""" "temperature": 2 """, 0.65213578)]
    [InlineData(""" "temperature": 1 """, 0.56193624)]
    [InlineData(""" "temperature": 0, "easyrec_compat": true """, 0.56193624)]
    [InlineData(""" "soft_label_name": "soft_probs", "label_is_logits": false """, 0.56193644)]
    [InlineData(""" "soft_label_name": "soft_probs", "label_is_logits": false, "easyrec_compat": true """, 0.78835939)]
    [InlineData($""" {Probabilities}, "easyrec_compat": true """, 0.58570984)]
    [InlineData($""" {Probabilities}, "easyrec_compat": true, "temperature": 2 """, 0.65828482)]
    [InlineData($""" {Probabilities}, "temperature": 2 """, 0.65213598)]
    [InlineData($""" "temperature": 2, {Masked}, "out_task_space_weight": 0 """, 0.66989683)]
    [InlineData($""" "temperature": 2, {Masked}, "out_task_space_weight": 0.5 """, 0.57727920)]
    public void Cross_entropy(string entry, double expected) => AssertValue("CROSS_ENTROPY_LOSS", entry, expected);

    [Theory]
    [InlineData(""" "temperature": 2 """, 0.65213598)]
    [InlineData(""" "temperature": 1 """, 0.56193644)]
    [InlineData($""" {Probabilities}, "temperature": 2 """, 0.65213598)]
    [InlineData($""" "temperature": 2, {Masked}, "out_task_space_weight": 0 """, 0.66989703)]
    public void Binary_cross_entropy(string entry, double expected) => AssertValue("BINARY_CROSS_ENTROPY_LOSS", entry, expected);

    [Theory]
    [InlineData(""" "temperature": 2 """, 0.01265280)]
    [InlineData(""" "temperature": 1 """, 0.04057748)]
    [InlineData(""" "temperature": 2, "loss_weight": 0.5 """, 0.00632640)]
    [InlineData($""" {Probabilities}, "temperature": 2 """, 0.01265280)]
    public void Kl_divergence(string entry, double expected) => AssertValue("KL_DIVERGENCE_LOSS", entry, expected);

    [Theory]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS", "false", new[] { -0.00753535, 0.01067528, 0.00648498, 0.01245079 })]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS", "true", new[] { -0.03014142, 0.04270114, 0.02593994, 0.04980317 })]
    [InlineData("CROSS_ENTROPY_LOSS", "true", new[] { -0.03014142, 0.04270114, 0.02593994, 0.04980317 })]
    [InlineData("KL_DIVERGENCE_LOSS", "false", new[] { -0.00753535, 0.01067528, 0.00648498, 0.01245079 })]
    [InlineData("KL_DIVERGENCE_LOSS", "true", new[] { -0.03014142, 0.04270114, 0.02593994, 0.04980317 })]
    public void Softened_gradient(string type, string scaleByT2, double[] expected) =>
        AssertGradient(Tables.Evaluate(Tables.Pointwise, $""" "loss_type": "{type}", "temperature": 2, "scale_by_t2": {scaleByT2} """), expected);

    [Theory]
    [InlineData("L2_LOSS", "", 0.445)]
    [InlineData("L2_LOSS", """, "temperature": 7 """, 0.445)]
    [InlineData("SIGMOID_L2_LOSS", "", 0.445)]
    [InlineData("L2_LOSS", """, "pred_name": "probs", "pred_is_logits": false, "easyrec_compat": true """, 1.66496439)]
    [InlineData("L2_LOSS", $""", {Masked}, "out_task_space_weight": 0 """, 0.38)]
    public void Squared(string type, string entry, double expected) =>
        Assert.Equal(expected, Tables.Evaluate(Tables.Pointwise, $""" "loss_type": "{type}"{entry} """).Value, 1e-6);

    // A soft label on the other scale is brought to the student's: then both ways of writing it are one.
    [Fact]
    public void Squared_compares_on_one_scale()
    {
        var converted = Tables.Evaluate(Tables.Pointwise, """ "loss_type": "L2_LOSS", "pred_name": "probs", "pred_is_logits": false """);
        var given = Tables.Evaluate(Tables.Pointwise, $""" "loss_type": "L2_LOSS", {Probabilities} """);

        Assert.Equal(given.Value, converted.Value, 1e-9);
        Assert.Equal(0.445, Tables.Evaluate(Tables.Pointwise, """ "loss_type": "L2_LOSS", "soft_label_name": "soft_probs", "label_is_logits": false """).Value, 1e-6);
    }

    [Fact]
    public void Squared_gradient() =>
        AssertGradient(Tables.Evaluate(Tables.Pointwise, """ "loss_type": "L2_LOSS" """), [-0.25, 0.4, 0.25, 0.4]);

    [Theory]
    [InlineData("", 0.36768840)]
    [InlineData(""" "alpha": 0.75 """, 0.15632499)]
    [InlineData(""" "label_smoothing": 0.1 """, 0.35791228)]
    public void Binary_focal(string block, double expected) => Assert.Equal(expected, Tables.Evaluate(Tables.Sessions,
        $$""" "loss_type": "BINARY_FOCAL_LOSS", "soft_label_name": "label", "binary_focal_loss": { {{block}} } """).Value, 1e-6);

    [Theory]
    [InlineData(1, 0.92661205)]
    [InlineData(0.5625, 1.33874735)]
    public void F1_reweighted(double betaSquare, double expected) => Assert.Equal(expected, Tables.Evaluate(Tables.Sessions,
        FormattableString.Invariant($$""" "loss_type": "F1_REWEIGHTED_LOSS", "soft_label_name": "label", "f1_reweighted_loss": { "f1_beta_square": {{betaSquare}} } """)).Value, 1e-6);

    [Theory]
    [InlineData("")]
    [InlineData(""", "easyrec_compat": true """)]
    public void F1_reweighted_as_EasyRecs_own_test(string compat) => Assert.Equal(0.47844392, Tables.Evaluate(
        """{ "columns": { "logits": [0.1, 0.5, 0.3, 0.8, -0.1, 0.3], "soft": [1, 1, 0, 0, 1, 1] } }""",
        $$""" "loss_type": "F1_REWEIGHTED_LOSS", "f1_reweighted_loss": { "f1_beta_square": 4 }{{compat}} """).Value, 1e-6);

    [Theory]
    [InlineData("CROSS_ENTROPY_LOSS", "", 0.60140616)]
    [InlineData("KL_DIVERGENCE_LOSS", "", 0.03314646)]
    [InlineData("KL_DIVERGENCE_LOSS", $", {Probabilities}", 0.03314642)]
    [InlineData("HINTON_LOSS", """, "hinton_loss": { "hard_label_name": "label", "alpha": 1 } """, 0.40774218)]
    [InlineData("HINTON_LOSS", """, "hinton_loss": { "hard_label_name": "label", "alpha": 0, "soft_term": "cross_entropy" }, "scale_by_t2": false """, 1.02796649)]
    [InlineData("HINTON_LOSS", """, "hinton_loss": { "hard_label_name": "label", "alpha": 0.3 } """, 0.21513275)]
    [InlineData("HINTON_LOSS", """, "hinton_loss": { "hard_label_name": "label", "alpha": 0.3, "soft_term": "cross_entropy" } """, 3.00062882)]
    public void Of_classes(string type, string entry, double expected) =>
        Assert.Equal(expected, Tables.Evaluate(Tables.Classes, $""" "loss_type": "{type}", "temperature": 2{entry} """).Value, 1e-6);

    [Fact]
    public void Kl_gradient_of_classes() => AssertGradient(
        Tables.Evaluate(Tables.Classes, """ "loss_type": "KL_DIVERGENCE_LOSS", "temperature": 2, "scale_by_t2": true """),
        [-0.12309385, 0.03424023, 0.08885362, 0.00080340, -0.10123097, 0.10042757]);

    [Theory]
    [InlineData("1", 0.42966068)]
    [InlineData(""" 0.5, "soft_term": "cross_entropy" """, 1.51910229)]
    public void Hinton_of_one_logit(string alpha, double expected) => AssertValue("HINTON_LOSS",
        $$""" "temperature": 2, "hinton_loss": { "hard_label_name": "label", "alpha": {{alpha}} } """, expected);

    [Theory]
    [InlineData(0.1, 0.41791108)]
    [InlineData(1, 0.89073335)]
    public void Info_nce(double temperature, double expected) => Assert.Equal(expected, Tables.Evaluate(Tables.Embeddings,
        FormattableString.Invariant($$""" "loss_type": "INFO_NCE_LOSS", "info_nce_loss": { "temperature": {{temperature}} } """)).Value, 1e-6);

    // 1 − 1e-7 has no exact float32, so there a certain probability becomes another logit.
    [Theory]
    [InlineData(ScalarType.Float64, 16.118096)]
    [InlineData(ScalarType.Float32, 15.942385)]
    public void A_certain_probability_is_a_finite_logit(ScalarType type, double logit)
    {
        using var scope = NewDisposeScope();
        var loss = Distiller.Losses.LossCatalogue.Create(Tables.Entry(""" "loss_type": "L2_LOSS", "label_is_logits": false """), "kd[0]");

        var value = loss.Value(zeros([1], type), ones([1], type), Distiller.Losses.SessionIndex.Uniform(1, 1));

        Assert.Equal(logit, Math.Sqrt(value.to_type(ScalarType.Float64).ToDouble()), 1e-5);
    }

    private static void AssertValue(string type, string entry, double expected) =>
        Assert.Equal(expected, Tables.Evaluate(Tables.Pointwise, $""" "loss_type": "{type}", {entry} """).Value, 1e-6);

    private static void AssertGradient(Distiller.Losses.LossReport report, double[] expected)
    {
        var actual = Tables.Gradient(report);
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 1e-6);
    }
}
