using KdServing.Contracts;
using KdServing.Distiller.Students;
using KdServing.Distiller.Tests.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Students;

public sealed class StudentTests
{
    private static readonly FeatureSchema Schema = Impressions.Schema;

    public static TheoryData<string> Families => new()
    {
        """{ "family": "mlp", "first_layer": 12, "hidden": [8, 4], "initial_logit": -1 }""",
        """{ "family": "mlp", "first_layer": 6 }""",
        """{ "family": "two_tower", "user_tower": [10, 6], "item_tower": [6], "live_net": [4], "initial_logit": -1 }""",
    };

    [Theory]
    [MemberData(nameof(Families))]
    public void A_seed_fixes_the_weights(string json)
    {
        using var scope = NewDisposeScope();
        var config = StudentConfig.Parse(json);
        using var a = Student.Create(config, Schema, 5);
        using var b = Student.Create(config, Schema, 5);
        using var c = Student.Create(config, Schema, 6);
        var input = Input();

        Assert.Equal(Floats(a.call(input)), Floats(b.call(input)));
        Assert.NotEqual(Floats(a.call(input)), Floats(c.call(input)));
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Plain_arrays_hold_the_whole_student(string json)
    {
        using var scope = NewDisposeScope();
        using var student = Student.Create(StudentConfig.Parse(json), Schema, 5);
        using var copy = Student.Create(student.ToDense());
        var input = Input();

        Assert.Equal(Floats(student.call(input)), Floats(copy.call(input)));
        Assert.Equal(student.ParameterCount, copy.ParameterCount);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Repeating_by_broadcast_equals_selecting_by_row(string json)
    {
        using var scope = NewDisposeScope();
        using var student = Student.Create(StudentConfig.Parse(json), Schema, 5);
        var (broadcast, selected) = (Input(), Input() with { UniformCandidates = 0 });

        Assert.Equal(Floats(student.call(selected)), Floats(student.call(broadcast)));
        student.call(selected).square().sum().backward();
        student.call(broadcast).square().sum().backward();
        var (bySelection, byBroadcast) = (Floats(selected.User.grad!), Floats(broadcast.User.grad!));
        for (var i = 0; i < bySelection.Length; i++)
            Assert.Equal(bySelection[i], byBroadcast[i], 1e-5f);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void A_batch_of_one_user_or_of_one_candidate_is_a_batch(string json)
    {
        using var scope = NewDisposeScope();
        using var student = Student.Create(StudentConfig.Parse(json), Schema, 5);
        var input = Input();
        var all = Floats(student.call(input));
        var (first, single) = (TensorIndex.Slice(0, 4), TensorIndex.Slice(0, 1));

        var one = student.call(new(input.User[single], input.Item[first], input.Live![first], input.RowOf[first], 4));
        var smallest = student.call(new(input.User[single], input.Item[single], input.Live[single], input.RowOf[single], 1));

        Assert.Equal(all[..4], Floats(one), (a, b) => Math.Abs(a - b) < 1e-6f);
        Assert.Equal(all[..1], Floats(smallest), (a, b) => Math.Abs(a - b) < 1e-6f);
    }

    // The formula of DenseTwoTower, written out.
    [Fact]
    public void Two_towers_compute_what_they_say()
    {
        using var scope = NewDisposeScope();
        using var student = Student.Create(StudentConfig.Parse("""{ "family": "two_tower", "user_tower": [3], "item_tower": [3], "live_net": [] }"""), Schema, 5);
        var dense = (DenseTwoTower)student.ToDense();
        var input = Input();
        var (users, items, live) = (Floats(input.User), Floats(input.Item), Floats(input.Live!));

        var logits = Floats(student.call(input));

        for (var n = 0; n < logits.Length; n++)
        {
            var u = Affine(dense.UserTower[0], users.AsSpan(n / 4 * Schema.User.Width, Schema.User.Width));
            var i = Affine(dense.ItemTower[0], items.AsSpan(n * Schema.Item.Width, Schema.Item.Width));
            var product = u.Zip(i, (a, b) => a * b).ToArray();
            var expected = Affine(dense.Combine, product)[0] + Affine(dense.LiveNet[0], live.AsSpan(n, 1))[0];
            Assert.Equal(expected, logits[n], 1e-5f);
        }
    }

    [Theory]
    [InlineData("""{ "first_layer": 4 }""", "family")]
    [InlineData("""{ "family": "mlp" }""", "first_layer")]
    [InlineData("""{ "family": "mlp", "first_layer": 4, "hidden": [8, 0] }""", "hidden[1]")]
    [InlineData("""{ "family": "mlp", "first_layer": 4, "user_tower": [8] }""", "user_tower")]
    [InlineData("""{ "family": "two_tower", "user_tower": [8] }""", "user_tower")]
    [InlineData("""{ "family": "two_tower", "user_tower": [8], "item_tower": [4] }""", "item_tower")]
    [InlineData("""{ "family": "mlp", "first_layer": 4, "initial_logit": 50 }""", "initial_logit")]
    [InlineData("""{ "family": "mlp", "first_layer": 4, "dropout": 0.5 }""", "student")]
    public void A_mistake_is_named(string json, string field) =>
        Assert.Equal(field, Assert.Throws<ContractException>(() => StudentConfig.Parse(json)).Field);

    // Two users of four candidates each.
    private static StudentInput Input()
    {
        var random = new Random(1);
        return new(Matrix(2, Schema.User.Width).requires_grad_(), Matrix(8, Schema.Item.Width), Matrix(8, Schema.Live.Width),
            tensor(new long[] { 0, 0, 0, 0, 1, 1, 1, 1 }), 4);

        Tensor Matrix(int rows, int columns) =>
            tensor(Enumerable.Range(0, rows * columns).Select(_ => random.NextSingle() - 0.5f).ToArray(), [rows, columns]);
    }

    private static float[] Affine(DenseLayer layer, ReadOnlySpan<float> input)
    {
        var output = new float[layer.Outputs];
        for (var o = 0; o < layer.Outputs; o++)
        {
            output[o] = layer.Bias?[o] ?? 0;
            for (var i = 0; i < layer.Inputs; i++)
                output[o] += layer.Weight[o * layer.Inputs + i] * input[i];
        }
        return output;
    }

    private static float[] Floats(Tensor tensor) => tensor.detach().contiguous().data<float>().ToArray();
}
