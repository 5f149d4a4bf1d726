using KdServing.Distiller.Losses;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Losses;

/// <summary>Values and gradients of the distillation losses, float64, 1e-6. The numbers come from EasyRec's own functions run in NumPy.</summary>
public sealed class KdVectorTests
{
    private static readonly double[] S1 = [0.5, -1.2, 2.0, 0.3];
    private static readonly double[] T1 = [1.0, -2.0, 1.5, -0.5];
    private static readonly double[] S3 = [0.2, 1.0, -0.5, 0.7, 0.1];
    private static readonly double[] T3 = [1.5, 0.3, -1.0, 0.2, 0.9];
    private static readonly long[] Sessions3 = [0, 0, 0, 1, 1];

    [Theory]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS", 2, 1, 0.65213598)]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS", 1, 1, 0.56193644)]
    [InlineData("CROSS_ENTROPY_LOSS", 2, 1, 0.65213578)]
    [InlineData("CROSS_ENTROPY_LOSS", 1, 1, 0.56193624)]
    [InlineData("KL_DIVERGENCE_LOSS", 2, 1, 0.01265280)]
    [InlineData("KL_DIVERGENCE_LOSS", 1, 1, 0.04057748)]
    [InlineData("KL_DIVERGENCE_LOSS", 2, 0.5, 0.00632640)]
    public void Pointwise_value(string type, double temperature, double weight, double expected)
    {
        using var scope = NewDisposeScope();
        var loss = Create(new() { LossType = type, Temperature = temperature, LossWeight = weight });

        Assert.Equal(expected, loss.Value(tensor(S1), tensor(T1), SessionIndex.Uniform(1, 4)).mul(loss.Weight).ToDouble(), 1e-6);
    }

    [Theory]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS", 0.65213598)]
    [InlineData("KL_DIVERGENCE_LOSS", 0.01265280)]
    public void Probabilities_give_what_their_logits_give(string type, double expected)
    {
        using var scope = NewDisposeScope();
        var loss = Create(new() { LossType = type, Temperature = 2, PredIsLogits = false, LabelIsLogits = false });

        Assert.Equal(expected, loss.Value(tensor(S1).sigmoid(), tensor(T1).sigmoid(), SessionIndex.Uniform(1, 4)).ToDouble(), 1e-6);
    }

    [Theory]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS", false, new[] { -0.00753535, 0.01067528, 0.00648498, 0.01245079 })]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS", true, new[] { -0.03014142, 0.04270114, 0.02593994, 0.04980317 })]
    [InlineData("KL_DIVERGENCE_LOSS", false, new[] { -0.00753535, 0.01067528, 0.00648498, 0.01245079 })]
    [InlineData("KL_DIVERGENCE_LOSS", true, new[] { -0.03014142, 0.04270114, 0.02593994, 0.04980317 })]
    public void Pointwise_gradient(string type, bool scaleByT2, double[] expected)
    {
        using var scope = NewDisposeScope();
        var student = tensor(S1).requires_grad_();
        Create(new() { LossType = type, Temperature = 2, ScaleByT2 = scaleByT2 }).Value(student, tensor(T1), SessionIndex.Uniform(1, 4)).backward();

        AssertClose(expected, student.grad!);
    }

    [Theory]
    [InlineData(3, true, 0.90180063)]
    [InlineData(1, true, 1.01002144)]
    [InlineData(3, false, 0.71454717)]
    public void Listwise_value(double temperature, bool labelIsLogits, double expected)
    {
        using var scope = NewDisposeScope();

        Assert.Equal(expected, Listwise(temperature, labelIsLogits).Value(tensor(S3), tensor(T3), SessionIndex.Of(Sessions3)).ToDouble(), 1e-6);
    }

    [Theory]
    [InlineData(1, 1.44492087)]
    [InlineData(3, 1.34187543)]
    public void Listwise_on_probabilities(double temperature, double expected)
    {
        using var scope = NewDisposeScope();

        Assert.Equal(expected, Listwise(temperature, false).Value(tensor(S3), tensor(T3).sigmoid(), SessionIndex.Of(Sessions3)).ToDouble(), 1e-6);
    }

    [Theory]
    [InlineData(3, new[] { -0.02537271, 0.01717490, 0.00819781, 0.01798402, -0.01798402 })]
    [InlineData(1, new[] { -0.22712810, 0.19009133, 0.03703677, 0.15692204, -0.15692204 })]
    public void Listwise_gradient(double temperature, double[] expected)
    {
        using var scope = NewDisposeScope();
        var student = tensor(S3).requires_grad_();
        Listwise(temperature, true).Value(student, tensor(T3), SessionIndex.Of(Sessions3)).backward();

        AssertClose(expected, student.grad!);
    }

    [Fact]
    public void A_session_of_one_candidate_counts_in_the_mean()
    {
        using var scope = NewDisposeScope();

        var value = Listwise(3, true).Value(tensor([.. S3, 0.4]), tensor([.. T3, 0.6]), SessionIndex.Of([0, 0, 0, 1, 1, 7]));

        Assert.Equal(0.60120042, value.ToDouble(), 1e-6);
    }

    [Fact]
    public void Order_of_samples_and_of_sessions_does_not_matter()
    {
        using var scope = NewDisposeScope();

        var value = Listwise(3, true).Value(tensor([0.1, -0.5, 0.7, 0.2, 1.0]), tensor([0.9, -1.0, 0.2, 1.5, 0.3]), SessionIndex.Of([9, 4, 9, 4, 4]));

        Assert.Equal(0.90180063, value.ToDouble(), 1e-6);
    }

    [Fact]
    public void A_constant_on_all_logits_of_a_session_changes_no_list()
    {
        using var scope = NewDisposeScope();

        var value = Listwise(3, true).Value(tensor([5.2, 6.0, 4.5, 0.7, 0.1]), tensor(T3), SessionIndex.Of(Sessions3));

        Assert.Equal(0.90180063, value.ToDouble(), 1e-6);
    }

    [Theory]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS")]
    [InlineData("KL_DIVERGENCE_LOSS")]
    [InlineData("LISTWISE_RANK_LOSS")]
    public void A_student_that_is_the_teacher_has_nothing_to_learn(string type)
    {
        using var scope = NewDisposeScope();
        var student = tensor(T3).requires_grad_();
        var teacher = tensor(T3).requires_grad_();
        var loss = type == "LISTWISE_RANK_LOSS" ? Listwise(2, true) : Create(new() { LossType = type, Temperature = 2 });
        loss.Value(student, teacher, SessionIndex.Of(Sessions3)).backward();

        AssertClose([0, 0, 0, 0, 0], student.grad!);
        Assert.True(teacher.grad is null, "the teacher received a gradient");
    }

    [Theory]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS")]
    [InlineData("KL_DIVERGENCE_LOSS")]
    [InlineData("LISTWISE_RANK_LOSS")]
    public void Saturated_logits_stay_finite(string type)
    {
        using var scope = NewDisposeScope();
        var student = tensor(new[] { 100f, -100f, 100f }).requires_grad_();
        var loss = type == "LISTWISE_RANK_LOSS" ? Listwise(1, true) : Create(new() { LossType = type });
        var value = loss.Value(student, tensor(new[] { -100f, 100f, 100f }), SessionIndex.Of([0, 0, 1]));
        value.backward();

        Assert.True(float.IsFinite(value.ToSingle()));
        Assert.True(student.grad!.isfinite().all().ToBoolean());
    }

    private static DistillationLoss Create(KdLossConfig config) => LossCatalogue.Create(config, "kd[0]");

    private static ListwiseRankLoss Listwise(double temperature, bool labelIsLogits) =>
        new(new() { LossType = "LISTWISE_RANK_LOSS" }, new() { Temperature = temperature, SessionName = ListwiseRankLoss.Session, LabelIsLogits = labelIsLogits });

    private static void AssertClose(double[] expected, Tensor actual)
    {
        for (var i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i].ToDouble(), 1e-6);
    }
}
