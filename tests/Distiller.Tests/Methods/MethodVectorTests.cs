using KdServing.Contracts;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;
using KdServing.Distiller.Tests.Training;
using KdServing.Distiller.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Methods;

/// <summary>Values of the methods' own formulas, 1e-6, float64 (the gate's weights float32): from one NumPy implementation of each paper's formula, or the authors' own expression.</summary>
public sealed class MethodVectorTests
{
    private const double Tolerance = 1e-6;

    [Fact]
    public void FitNets_hint()
    {
        using var scope = NewDisposeScope();
        var student = Matrix(2, 0.5, -1, 1, 0.25);
        var weight = Matrix(3, 1, 0.5, 0, -0.5, 1, 2);
        var teacher = Matrix(3, 1.2, -0.8, -2, 0.9, 0.7, 0.6);
        var regressed = student.matmul(weight).add(tensor((double[])[0.1, 0, -0.1]));

        Equal([1.1, -0.75, -2.1, 0.975, 0.75, 0.4], regressed.reshape(-1));
        Assert.Equal(0.01765625, FeatureHint.SquaredDistance(regressed, teacher).ToDouble() / 2, Tolerance);
        Assert.Equal(0.01177083, FeatureHint.SquaredDistance(regressed, teacher).ToDouble() / 3, Tolerance);
        Assert.Equal(0.02781250, FeatureHint.SquaredDistance(student.matmul(weight), teacher).ToDouble(), Tolerance);
    }

    // The booster's own loss stands beside: 0.27891999, so 0.72193067 and 1.15358067 in all.
    [Theory]
    [InlineData("rocket", """ "lambda": 0.03 """, 0, 0.72193067 - 0.27891999)]
    [InlineData("rocket", """ "lambda": 1 """, 0, 1.15358067 - 0.27891999)]
    [InlineData("pfd", """ "warm_up_steps": 5 """, 4, 0.42966068)]
    [InlineData("pfd", """ "warm_up_steps": 5 """, 5, 0.49579856)]
    [InlineData("pfd", """ "warm_up_steps": 5, "ramp_steps": 4 """, 7, (0.42966068 + 0.49579856) / 2)]
    public void Beside_a_joint_teacher(string preset, string block, int step, double expected) =>
        Assert.Equal(expected, WithJointLogits(preset, block, step, 1).Value, 5e-6);

    [Theory]
    [InlineData("rocket", """ "lambda": 1 """, 0, 0, new[] { -0.25, 0.4, 0.25, 0.4 })]
    [InlineData("pfd", """ "warm_up_steps": 5 """, 5, 1, new[] { -0.06076749, 0.04296844, -0.00699754, 0.09641805 })]
    public void Gradient_beside_a_joint_teacher(string preset, string block, int step, double hardWeight, double[] expected)
    {
        var gradient = WithJointLogits(preset, block, step, hardWeight).Gradient;

        for (var i = 0; i < gradient.Length; i++)
            Assert.Equal(i < expected.Length ? expected[i] : 0, gradient[i], 1e-6);
    }

    [Fact]
    public void The_booster_learns_its_labels()
    {
        using var scope = NewDisposeScope();

        Assert.Equal(0.27891999, new HardLabelLoss(new()).Value(tensor(Padded(Teacher)), LabelledBatch(new(TaughtImpressions.Schema, [])), 0)!.ToDouble(), 5e-6);
    }

    // As the authors write the hint: γ times the sum over classes, mean over the batch.
    [Fact]
    public void Rockets_hint_of_classes()
    {
        using var scope = NewDisposeScope();

        Assert.Equal(0.0294, 0.03 * FeatureHint.SquaredDistance(Matrix(3, 1, 0.2, -0.5, 0.1, 0.4, 2), Matrix(3, 2, 0.5, -1, 0, 1, 1.5)).ToDouble(), Tolerance);
    }

    [Fact]
    public void Leaf_embeddings_weigh_by_their_part_in_the_prediction()
    {
        using var scope = NewDisposeScope();

        Assert.Equal(0.055, FeatureHint.SquaredDistance(Matrix(2, 0.1, 0, 0.5, 0.1), Matrix(2, 0.2, -0.1, 0.4, 0.3), tensor((double[])[0.5, 2])).ToDouble(), Tolerance);
    }

    [Fact]
    public void Rockets_layer_hints()
    {
        using var scope = NewDisposeScope();
        var (booster, light) = (Matrix(2, 1, 0, 1, 1), Matrix(2, 0.5, 0.5, 1, -1));

        Assert.Equal(-0.03535534, 0.1 * LayerHint.Value(LayerHintKind.Cosine, booster, light).ToDouble(), Tolerance);
        Assert.Equal(-0.21213203, -0.1 * LayerHint.Value(LayerHintKind.Euclid, booster, light).ToDouble(), Tolerance);
        Assert.Equal(2.12132034, LayerHint.Value(LayerHintKind.Euclid, booster, light).ToDouble(), Tolerance);
    }

    [Theory]
    [InlineData(false, new[] { 0.36450474, 0.44520710, 0.19028816, 0.14417714, 0.15934038, 0.69648249 })]
    [InlineData(true, new[] { 0.34976887, 0.42720866, 0.22302248, 0.18714978, 0.20683249, 0.60601773 })]
    public void Gate_mixes_teachers(bool readsAll, double[] expected)
    {
        using var scope = NewDisposeScope();
        using var gate = Gate(readsAll);

        Equal(expected, gate.forward(Teachers.to_type(ScalarType.Float32)).reshape(-1));
    }

    [Theory]
    [InlineData("logits", 0.65326724)]
    [InlineData("losses", 0.65354879)]
    [InlineData("average", 0.65181387)]
    public void Ensemble(string fuse, double expected)
    {
        using var scope = NewDisposeScope();
        using var gate = Gate(false);
        var alpha = fuse == "average" ? full([2, 3], 1.0 / 3, dtype: ScalarType.Float64) : gate.forward(Teachers.to_type(ScalarType.Float32)).to_type(ScalarType.Float64);
        var mixed = TeacherEnsemble.Mix(Teachers, alpha, fuse == "losses" ? FusedBy.Losses : FusedBy.Logits, 2);
        var loss = LossCatalogue.Create(new() { LossType = "BINARY_CROSS_ENTROPY_LOSS", Temperature = 2 }, "kd[0]");

        if (fuse == "logits")
            Equal([0.89803243, -1.49241838], mixed);
        Assert.Equal(expected, loss.Value(tensor((double[])[0.4, -1.2]), mixed, SessionIndex.Uniform(1, 2)).ToDouble(), Tolerance);
    }

    [Theory]
    [InlineData(1, new[] { 0.64391426, 0.23688282, 0.08714432, 0.03205860 })]
    [InlineData(10, new[] { 0.28865141, 0.26118259, 0.23632778, 0.21383822 })]
    public void Weights_of_places(double lambda, double[] expected) => Equal(expected, RankingDistillationLoss.PositionWeights(4, lambda));

    [Theory]
    [InlineData(true, new[] { 0.19641409, 0.37823639, 0.66235626, 0.66179461 })]
    [InlineData(false, new[] { 0.19545248, 0.37737912, 0.66179461, 0.66123221 })]
    public void Weights_of_discrepancies(bool zeroBased, double[] expected)
    {
        var places = RankingDistillationLoss.EstimatedPlaces([2, 1, -0.5, 0.3], [1.5, 0.5, -1, 0.8, 2.5], 1000);

        Equal([199, 399, 799, 799], places);
        Equal(expected, RankingDistillationLoss.DiscrepancyWeights(places, 0.001, zeroBased));
    }

    [Fact]
    public void Hybrid_weights()
    {
        double[] hybrid = [.. RankingDistillationLoss.PositionWeights(4, 1).Zip(RankingDistillationLoss.DiscrepancyWeights([199, 399, 799, 799], 0.001, true), (a, b) => a * b)];

        Equal([0.12647383, 0.08959770, 0.05772059, 0.02121621], hybrid);
        Equal([0.42871275, 0.30371245, 0.19565748, 0.07191733], [.. hybrid.Select(w => w / hybrid.Sum())]);
    }

    // L_rank sums over one positive and three negatives; the distillation term stands beside it.
    [Fact]
    public void Ranking_distillation_beside_labels()
    {
        using var scope = NewDisposeScope();
        var labels = LossCatalogue.Create(new() { LossType = "CLASSIFICATION" }, "kd[0]");
        var hard = labels.Value(tensor((double[])[1.2, -0.7, 0.4, 0.1]), tensor((double[])[1, 0, 0, 0]), SessionIndex.Uniform(1, 4)).ToDouble() * 4;

        Assert.Equal(2.32388043, hard, Tolerance);
        Assert.Equal(2.58247463, hard + 0.25859420, Tolerance);
    }

    [Fact]
    public void Interesting_candidates_are_drawn_by_their_place() =>
        Equal([0.24185514, 0.21883958, 0.19801424, 0.17917069, 0.16212035], RrdLoss.DrawProbabilities(5, 10));

    [Fact]
    public void Distillation_experts()
    {
        using var scope = NewDisposeScope();
        var choice = Experts.Relaxed(Matrix(2, 0.7, 0.3), Matrix(2, 0.2, -0.1), 0.5);

        Equal([0.90842847, 0.09157153], choice.reshape(-1));
        Assert.Equal(0.19716520, Experts.Value(Matrix(3, 1, -0.5, 0.25), Matrix(3, 0.8, -0.2, 0.1, 0.5, 0.5, 0.5).unsqueeze(0), choice).ToDouble(), Tolerance);
    }

    [Fact]
    public void Full_topology()
    {
        using var scope = NewDisposeScope();

        Assert.Equal(1.29420196, Relations.FullTopology(Matrix(2, 1, 0, 1, 1, 0, 2).unsqueeze(0), Matrix(3, 1, 0, 1, 0.5, 1, 0, 0, 1, 2).unsqueeze(0), Ones(3)).ToDouble(), Tolerance);
    }

    [Fact]
    public void Relational_distillation()
    {
        using var scope = NewDisposeScope();
        var student = Matrix(2, 0, 0, 1, 0, 0, 2).unsqueeze(0);
        var teacher = Matrix(3, 0, 0, 0, 2, 0, 0, 0, 1, 2).unsqueeze(0);
        var (distance, angle) = (Relations.Distance(student, teacher, Ones(3)).ToDouble(), Relations.Angle(student, teacher, Ones(3)).ToDouble());

        Assert.Equal(0.01277174, distance, Tolerance);
        Assert.Equal(0.00260674, angle, Tolerance);
        Assert.Equal(0.01798521, distance + 2 * angle, Tolerance);
    }

    [Theory]
    [InlineData(0.1, 0.41791108)]
    [InlineData(1, 0.89073335)]
    public void Info_nce(double temperature, double expected)
    {
        using var scope = NewDisposeScope();

        Assert.Equal(expected, Relations.InfoNce(Query, Key, Ones(3), temperature).ToDouble(), Tolerance);
    }

    [Fact]
    public void Nce_of_both_sides()
    {
        using var scope = NewDisposeScope();

        Assert.Equal(1.35540814, Relations.BothSidesNce(Query, Key, Ones(3), 1).ToDouble(), Tolerance);
        Assert.Equal(0.06666667, FeatureHint.SquaredDistance(Query.squeeze(0), Key.squeeze(0)).ToDouble(), Tolerance);
    }

    // The label of a teacher two half-lives behind counts a quarter, beyond the limit nothing.
    [Theory]
    [InlineData(0, 0, 1)]
    [InlineData(20, 0, 0.25)]
    [InlineData(10, 60, 0.25)]
    [InlineData(31, 0, 0)]
    [InlineData(0, 601, 0)]
    public void Weight_of_an_old_label(double versions, double seconds, double expected) => Assert.Equal(expected,
        TeacherAge.Weight(versions, seconds, new() { HalfLifeVersions = 10, HalfLifeSeconds = 60, MaxVersions = 30, MaxSeconds = 600 }), 1e-12);

    // Four labelled candidates of ten, with the joint teacher's logits given.
    private static (double Value, float[] Gradient) WithJointLogits(string preset, string block, int number, double hardWeight)
    {
        using var scope = NewDisposeScope();
        var config = DistillerConfig.Parse(FormattableString.Invariant(
            $$""" { "model": "tiny", "preset": "{{preset}}", "{{preset}}": { {{block}} }, "hard_label": { "weight": {{hardWeight}} } } """));
        var recipe = PresetCatalogue.Recipe(TaughtImpressions.Schema, StudentConfig.Parse(TaughtImpressions.Mlp), config);
        var objective = new Objective(TaughtImpressions.Schema, recipe.HardLabel, recipe.Kd, new(recipe.Heads, recipe.SoftLabels, recipe.Sources));
        var logits = tensor(Padded(Student)).reshape(-1, 1).requires_grad_();
        var step = new LearningStep(LabelledBatch(new(TaughtImpressions.Schema, objective.Sources)), logits, number);
        step.AddSoftLabels(JointTeacher.Name, new(tensor(Padded(Teacher)).reshape(-1, 1), [.. Enumerable.Range(0, Impressions.Candidates).Select(i => i < Teacher.Length)]));
        var total = objective.Value(step)!;
        total.Backward();
        return (total.Value, [.. logits.grad!.data<float>()]);
    }

    private static FeatureBatch LabelledBatch(FeatureBatch batch)
    {
        var record = TaughtImpressions.Record(0);
        record.Labels[0].States = Google.Protobuf.ByteString.CopyFrom(
            [(byte)LabelState.Positive, (byte)LabelState.Negative, (byte)LabelState.Positive, (byte)LabelState.Negative, .. new byte[Impressions.Candidates - 4]]);
        batch.Add(record);
        return batch;
    }

    private static float[] Padded(float[] values) => [.. values, .. new float[Impressions.Candidates - values.Length]];

    private static readonly float[] Student = [0.5f, -1.2f, 2, 0.3f];

    private static readonly float[] Teacher = [1, -2, 1.5f, -0.5f];

    private static Tensor Teachers => Matrix(3, 1, 0.6, 1.4, -2, -1, -1.5);

    private static Tensor Query => Matrix(2, 1, 0, 0.6, 0.8, 0, 1).unsqueeze(0);

    private static Tensor Key => Matrix(2, 0.9, 0.1, 0.5, 0.5, 0.2, 0.8).unsqueeze(0);

    private static EnsembleGate Gate(bool readsAll)
    {
        var gate = new EnsembleGate(3, readsAll);
        using var quiet = no_grad();
        var parameters = gate.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        parameters["weight"].copy_(readsAll ? Matrix(3, 0.5, 0, 0, 0, 1, 0, 0.2, 0, -0.25) : tensor((double[])[0.5, 1, -0.25]));
        parameters["bias"].copy_(tensor((double[])[0, 0.1, 0.2]));
        return gate;
    }

    private static Tensor Matrix(int width, params double[] values) => tensor(values).reshape(-1, width);

    private static Tensor Ones(int members) => ones([1, members], dtype: ScalarType.Float64);

    private static void Equal(double[] expected, Tensor actual) => Equal(expected, [.. actual.detach().to_type(ScalarType.Float64).contiguous().data<double>()]);

    private static void Equal(double[] expected, double[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], Tolerance);
    }
}
