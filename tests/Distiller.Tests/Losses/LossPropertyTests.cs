using FsCheck;
using FsCheck.Fluent;
using KdServing.Distiller.Losses;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Losses;

/// <summary>What must hold for every loss, whatever its inputs.</summary>
public sealed class LossPropertyTests
{
    private const int Sessions = 3;

    public static TheoryData<string> Every() => [.. LossCase.All.Keys];

    public static TheoryData<string> OfSessions() => [.. LossCase.All.Values.Where(c => c.Loss.Session is not null).Select(c => c.Name)];

    public static TheoryData<string> ShiftInvariant() => [.. LossCase.All.Values.Where(c => c.IsShiftInvariant).Select(c => c.Name)];

    public static TheoryData<string> KnowingTheirSlope() => [.. LossCase.All.Values.Where(c => c.Loss.KnowsSlope).Select(c => c.Name)];

    public static TheoryData<string> Weighing() =>
        [.. LossCase.All.Values.Where(c => c.Loss.TakesWeights && !c.Name.EndsWith("ohem", StringComparison.Ordinal)).Select(c => c.Name)];

    [Fact]
    public void Every_loss_has_a_case() =>
        Assert.Equal(LossCatalogue.Names, LossCase.All.Keys.Select(k => k.Split(' ')[0]).Distinct().Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Every))]
    public void The_gradient_is_the_slope(string name) => ForAll(name, 15, (loss, random, rows) =>
    {
        const double H = 1e-5;
        var (value, gradient) = rows.Evaluate(loss.Loss);
        for (var i = 0; i < gradient.Length; i++)
        {
            var (right, left) = ((Moved(i, H) - value) / H, (value - Moved(i, -H)) / H);
            var error = Math.Abs((right + left) / 2 - gradient[i]);
            // At a kink the slopes on both sides differ, by twice the error of their mean; elsewhere they agree, whatever the gradient says.
            if (error > 1e-6 * Math.Max(Math.Abs(gradient[i]), 0.01))
                Assert.True(Math.Abs(right - left) >= error, $"{gradient[i]} is off by {error}");
        }

        double Moved(int i, double by)
        {
            var student = rows.Student.ToArray();
            student[i] += by;
            return (rows with { Student = student }).Evaluate(loss.Loss).Value;
        }
    });

    // The fast form of training against the one that autograd differentiates: float32 against float64.
    [Theory]
    [MemberData(nameof(KnowingTheirSlope))]
    public void The_slope_it_knows_is_autograds(string name) => ForAll(name, 60, (loss, random, rows) =>
    {
        if (loss.Loss.TakesWeights && random.Next(2) == 0)
            rows = rows with { Weights = [.. rows.Bids.Select(b => random.Next(3) == 0 ? 0 : b)] };
        // With an exponent σ is compared, of which float32 holds fewer values: there large logits would tie.
        if (random.Next(4) == 0 && !name.EndsWith("exponent", StringComparison.Ordinal))
            rows = rows with { Student = [.. rows.Student.Select(s => s * 30)], Teacher = [.. rows.Teacher.Select(t => t * 30)] };
        var (value, gradient) = rows.Evaluate(loss.Loss);
        var slopes = Enumerable.Repeat(1f, gradient.Length).ToArray();
        var known = loss.Loss.Slope(new()
        {
            Student = [.. rows.Student.Select(s => (float)s)],
            Teacher = [.. rows.Teacher.Select(t => (float)t)],
            Sessions = SessionIndex.Of(rows.Sessions),
            Weights = rows.Weights is null ? default : (float[])[.. rows.Weights.Select(w => (float)w)],
        }, 2, slopes);

        Assert.Equal(value, known, 1e-5 * Math.Max(1, Math.Abs(value)));
        for (var i = 0; i < gradient.Length; i++)
            Assert.Equal(1 + 2 * gradient[i], slopes[i], 2e-5 * Math.Max(1, Math.Abs(gradient[i])));
    }, most: 60);

    // A Distiller that was killed and goes on has its arrays elsewhere, and must come to the same weights bit for bit: a sum that
    // begins at an aligned address would end in other bits. GC arrays begin at any multiple of 8 bytes.
    [Theory]
    [MemberData(nameof(KnowingTheirSlope))]
    public void The_slope_it_knows_does_not_depend_on_where_arrays_lie(string name)
    {
        const int Count = 700;
        var random = new Random(9);
        float[] student = [.. Enumerable.Range(0, Count).Select(_ => random.NextSingle() * 8 - 4)];
        float[] teacher = [.. Enumerable.Range(0, Count).Select(_ => random.NextSingle())];
        var sessions = SessionIndex.Of(new long[Count]);
        var known = Enumerable.Range(0, 32).Select(Evaluate).ToArray();

        Assert.All(known, k => Assert.Equal(known[0], k));

        double[] Evaluate(int place)
        {
            var (slopes, unused) = (new float[Count + place], new byte[8 * place]);
            var value = LossCase.All[name].Loss.Slope(new()
            {
                Student = new float[place].Concat(student).ToArray().AsSpan(place),
                Teacher = new float[place].Concat(teacher).ToArray().AsSpan(place),
                Sessions = sessions,
            }, 2, slopes.AsSpan(place));
            GC.KeepAlive(unused);
            return [value, .. slopes[place..]];
        }
    }

    [Theory]
    [MemberData(nameof(Every))]
    public void Order_does_not_matter(string name) => ForAll(name, 30, (loss, random, rows) =>
    {
        var places = Enumerable.Range(0, rows.Count).ToArray();
        random.Shuffle(places);
        var step = Math.Max(rows.Width, 1);
        var (value, gradient) = rows.Evaluate(loss.Loss);
        var (shuffledValue, shuffledGradient) = rows.At(places).Evaluate(loss.Loss);

        Assert.Equal(value, shuffledValue, 1e-9);
        for (var i = 0; i < shuffledGradient.Length; i++)
            Assert.Equal(gradient[places[i / step] * step + i % step], shuffledGradient[i], 1e-9);
    });

    [Theory]
    [MemberData(nameof(ShiftInvariant))]
    public void A_constant_on_all_logits_of_a_session_changes_nothing(string name) => ForAll(name, 30, (loss, random, rows) =>
    {
        var shift = Enumerable.Range(0, Sessions).Select(_ => random.NextDouble() * 4 - 2).ToArray();
        var shifted = rows with { Student = [.. rows.Student.Select((s, i) => s + shift[rows.Sessions[i]])] };

        Assert.Equal(rows.Evaluate(loss.Loss).Value, shifted.Evaluate(loss.Loss).Value, 1e-9);
    });

    [Theory]
    [MemberData(nameof(OfSessions))]
    public void Merging_sessions_changes_the_value(string name)
    {
        var loss = LossCase.All[name];
        var rows = loss.Rows(new(7), 12, Sessions);
        rows = rows with { Labels = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0] };

        Assert.True(Math.Abs(rows.Evaluate(loss.Loss).Value - (rows with { Sessions = new long[12] }).Evaluate(loss.Loss).Value) > 1e-6);
    }

    [Theory]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS", false)]
    [InlineData("CROSS_ENTROPY_LOSS", false)]
    [InlineData("KL_DIVERGENCE_LOSS", true)]
    [InlineData("L2_LOSS", true)]
    [InlineData("SIGMOID_L2_LOSS", true)]
    [InlineData("PAIRWISE_HINGE_LOSS", true)]
    [InlineData("PAIRWISE_HINGE_LOSS exponent", true)]
    [InlineData("LISTWISE_RANK_LOSS", false)]
    [InlineData("LISTWISE_PROB_LOSS", false)]
    public void A_student_that_is_the_teacher_has_nothing_to_learn(string name, bool isZero) => ForAll(name, 30, (loss, random, rows) =>
    {
        var (value, gradient) = (rows with { Student = rows.Teacher }).Evaluate(loss.Loss);

        Assert.All(gradient, g => Assert.Equal(0, g, 1e-12));
        if (isZero)
            Assert.Equal(0, value, 1e-12);
    });

    [Theory]
    [MemberData(nameof(Every))]
    public void Extreme_inputs_give_a_finite_loss(string name) => ForAll(name, 10, (loss, random, rows) =>
    {
        var logits = loss.Loss.LabelKind == SoftLabelKind.Prediction && loss.Loss.LabelIsLogits;
        var student = rows.Student.Select(_ => random.Next(2) * 200.0 - 100).ToArray();
        var teacher = rows.Teacher.Select(t => logits ? random.Next(2) * 200.0 - 100
            : loss.Loss.LabelKind is SoftLabelKind.Class or SoftLabelKind.Probability or SoftLabelKind.Prediction ? random.Next(2) : t).ToArray();
        LossRows[] extremes =
        [
            rows with { Student = student, Teacher = teacher },
            rows with { Teacher = [.. rows.Teacher.Select(_ => 1.0)] },
            rows with { Sessions = [.. Enumerable.Range(0, rows.Count).Select(i => (long)i)] },
            rows.At([]),
            rows.At([0]),
            rows with { Labels = [.. rows.Labels.Select(_ => double.NaN)] },
            rows with { Weights = new double[rows.Count] },
        ];
        foreach (var extreme in extremes)
        {
            foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64])
            {
                var (value, gradient) = extreme.Evaluate(loss.Loss, type);
                Assert.True(double.IsFinite(value), $"{value}");
                Assert.All(gradient, g => Assert.True(double.IsFinite(g)));
            }
        }
        Assert.Equal(0, rows.At([]).Evaluate(loss.Loss).Value);
    });

    [Theory]
    [MemberData(nameof(Weighing))]
    public void Half_a_weight_halves_the_term_and_keeps_the_denominator(string name) => ForAll(name, 30, (loss, random, rows) =>
    {
        Assert.Equal((Weighted(1) + Weighted(1e-12)) / 2, Weighted(0.5), 1e-9);
        Assert.Equal(rows.Evaluate(loss.Loss).Value, Weighted(1), 1e-12);

        double Weighted(double weight)
        {
            var weights = Enumerable.Repeat(1.0, rows.Count).ToArray();
            weights[0] = weight;
            return (rows with { Weights = weights }).Evaluate(loss.Loss).Value;
        }
    });

    [Theory]
    [InlineData("BINARY_CROSS_ENTROPY_LOSS")]
    [InlineData("BINARY_FOCAL_LOSS")]
    [InlineData("CLASSIFICATION")]
    [InlineData("CROSS_ENTROPY_LOSS")]
    [InlineData("CROSS_ENTROPY_LOSS compat")]
    [InlineData("HINTON_LOSS")]
    [InlineData("KL_DIVERGENCE_LOSS")]
    [InlineData("L2_LOSS")]
    [InlineData("SIGMOID_L2_LOSS")]
    public void A_weight_of_0_removes_a_candidate(string name) => ForAll(name, 30, (loss, random, rows) =>
    {
        var weights = Enumerable.Range(0, rows.Count).Select(i => i % 3 == 0 ? 0.0 : 1.0).ToArray();
        var kept = Enumerable.Range(0, rows.Count).Where(i => weights[i] != 0).ToList();
        var (value, gradient) = (rows with { Weights = weights }).Evaluate(loss.Loss);

        Assert.Equal(rows.At(kept).Evaluate(loss.Loss).Value, value, 1e-12);
        Assert.All(Enumerable.Range(0, rows.Count).Where(i => weights[i] == 0), i => Assert.Equal(0, gradient[i]));
    });

    // Two classes with logits −x/2 and x/2 are one logit x.
    [Fact]
    public void Two_classes_are_one_logit() => ForAll("KL_DIVERGENCE_LOSS", 30, (loss, random, rows) =>
    {
        var classes = rows with { Student = Halves(rows.Student), Teacher = Halves(rows.Teacher), Width = 2, TeacherWidth = 2 };

        Assert.Equal(rows.Evaluate(loss.Loss).Value, classes.Evaluate(loss.Loss).Value, 1e-12);

        static double[] Halves(double[] logits) => [.. logits.SelectMany(x => new[] { -x / 2, x / 2 })];
    });

    [Fact]
    public void At_a_high_temperature_the_scaled_gradient_matches_logits()
    {
        var loss = LossCatalogue.Create(Tables.Entry(""" "loss_type": "KL_DIVERGENCE_LOSS", "temperature": 10000, "scale_by_t2": true """), "kd[0]");
        var rows = LossCase.All["KL_DIVERGENCE_LOSS"].Rows(new(3), 8, 1);
        var gradient = rows.Evaluate(loss).Gradient;

        for (var i = 0; i < gradient.Length; i++)
            Assert.Equal((rows.Student[i] - rows.Teacher[i]) / 4 / rows.Count, gradient[i], 1e-6);
    }

    private static void ForAll(string name, int times, Action<LossCase, Random, LossRows> property, int most = 12)
    {
        var loss = LossCase.All[name];
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(times), Prop.ForAll<int>(seed =>
        {
            var random = new Random(seed);
            property(loss, random, loss.Rows(random, random.Next(2, most + 1), Sessions));
        }));
    }
}
