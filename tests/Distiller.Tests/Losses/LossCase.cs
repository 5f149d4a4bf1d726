using KdServing.Distiller.Losses;
using TorchSharp;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Losses;

/// <summary>A configured loss that makes random inputs for itself.</summary>
internal sealed class LossCase
{
    private static readonly string[] Session = ["\"session_name\": \"request_id\""];

    /// <summary>One or more configurations of every loss, by name.</summary>
    public static readonly SortedDictionary<string, LossCase> All = new(new List<LossCase>
    {
        new("BINARY_CROSS_ENTROPY_LOSS", "\"temperature\": 2"),
        new("BINARY_FOCAL_LOSS", Block("binary_focal_loss", "\"alpha\": 0.7", "\"label_smoothing\": 0.1")),
        new("BINARY_FOCAL_LOSS ohem", Block("binary_focal_loss", "\"ohem_ratio\": 0.4")),
        new("CLASSIFICATION", "\"loss_weight\": 1"),
        new("COPR_LOSS", Block("copr_loss", [.. Session, "\"bid_name\": \"bid\"", "\"chunk_size\": 2"])),
        new("CROSS_ENTROPY_LOSS", "\"temperature\": 3"),
        new("CROSS_ENTROPY_LOSS compat", "\"easyrec_compat\": true"),
        new("F1_REWEIGHTED_LOSS", Block("f1_reweighted_loss", "\"f1_beta_square\": 2", "\"label_smoothing\": 0.1")),
        new("HINTON_LOSS", Block("hinton_loss", "\"hard_label_name\": \"label\"") + ", \"temperature\": 2"),
        new("INFO_NCE_LOSS", Block("info_nce_loss", "\"temperature\": 0.5")),
        new("JRC_LOSS", Block("jrc_loss", Session)),
        new("JRC_LOSS other", Block("jrc_loss", [.. Session, "\"same_label_loss\": false"])),
        new("KL_DIVERGENCE_LOSS", "\"temperature\": 2, \"scale_by_t2\": true"),
        new("L2_LOSS", "\"loss_weight\": 2"),
        new("LISTWISE_DISTILL_LOSS", Block("listwise_distill_loss", Session)),
        new("LISTWISE_PROB_LOSS", Block("listwise_prob_loss", [.. Session, "\"temperature\": 2"])),
        new("LISTWISE_RANK_LOSS", Block("listwise_rank_loss", [.. Session, "\"label_is_logits\": true", "\"temperature\": 2"])),
        new("LISTWISE_RANK_LOSS probabilities", Block("listwise_rank_loss", Session)),
        new("COPR_LOSS without bids", Block("copr_loss", [.. Session, "\"chunk_size\": 2"])),
        new("LISTWISE_RANK_LOSS best", Block("listwise_rank_loss", [.. Session, "\"label_is_logits\": true", "\"label_top_k\": 2"])),
        new("ORDER_CALIBRATE_LOSS", "\"loss_weight\": 1"),
        new("PAIRWISE_FOCAL_LOSS gamma", Block("pairwise_focal_loss", [.. Session, "\"gamma\": 1.5", "\"alpha\": 0.25", "\"temperature\": 2"])),
        new("PAIRWISE_HINGE_LOSS margin", Block("pairwise_hinge_loss", [.. Session, "\"use_label_margin\": false", "\"margin\": 0.5005", "\"temperature\": 2"])),
        new("PAIRWISE_LOGISTIC_LOSS margin", Block("pairwise_logistic_loss", [.. Session, "\"hinge_margin\": 0.5", "\"temperature\": 2"])),
        new("PAIRWISE_FOCAL_LOSS", Block("pairwise_focal_loss", [.. Session, "\"hinge_margin\": 1.0005"])),
        new("PAIRWISE_HINGE_LOSS", Block("pairwise_hinge_loss", Session)),
        new("PAIRWISE_HINGE_LOSS exponent", Block("pairwise_hinge_loss", [.. Session, "\"use_exponent\": true"])),
        new("PAIRWISE_HINGE_LOSS ohem", Block("pairwise_hinge_loss", [.. Session, "\"ohem_ratio\": 0.5", "\"use_label_margin\": false", "\"margin\": 0.5005"])),
        new("PAIRWISE_LOGISTIC_LOSS", Block("pairwise_logistic_loss", [.. Session, "\"use_label_margin\": true"])),
        new("PAIR_WISE_LOSS", Block("pairwise_loss", [.. Session, "\"margin\": 0.5"])),
        new("RANKING_DISTILLATION_LOSS", Block("ranking_distillation_loss", [.. Session, "\"k\": 3", "\"lambda\": 2"])),
        new("RANKING_DISTILLATION_LOSS position", Block("ranking_distillation_loss", [.. Session, "\"weighting\": \"position\"", "\"hard_label_name\": \"label\""])),
        new("RRD_LOSS", Block("rrd_loss", Session)),
        new("SIGMOID_L2_LOSS", "\"loss_weight\": 1"),
    }.ToDictionary(c => c.Name), StringComparer.Ordinal);

    private LossCase(string name, string entry)
    {
        Name = name;
        Loss = LossCatalogue.Create(Tables.Entry($""" "loss_type": "{name.Split(' ')[0]}", {entry} """), "kd[0]");
    }

    public string Name { get; }

    public DistillationLoss Loss { get; }

    /// <summary>Adding a constant to a session's logits changes nothing.</summary>
    public bool IsShiftInvariant => Name.StartsWith("PAIR", StringComparison.Ordinal) && !Name.EndsWith("exponent", StringComparison.Ordinal)
        || Name.StartsWith("RRD", StringComparison.Ordinal) || Name.StartsWith("LISTWISE", StringComparison.Ordinal) && !Name.StartsWith("LISTWISE_PROB", StringComparison.Ordinal);

    public override string ToString() => Name;

    /// <summary>Random candidates in sessions that are not contiguous.</summary>
    /// <remarks>Student and teacher lie on lattices 0.001 apart at least, so that no pair sits on the kink of a hinge; hard-example mining needs losses that differ.</remarks>
    public LossRows Rows(Random random, int count, int sessions)
    {
        var width = !Loss.NeedsVectors ? 0 : Loss.LabelKind == SoftLabelKind.Class ? 2 : 3;
        var student = Enumerable.Range(0, count * Math.Max(width, 1))
            .Select(_ => Name.EndsWith("ohem", StringComparison.Ordinal) ? random.NextDouble() * 6 - 3 : random.Next(-30, 31) / 10.0).ToArray();
        var teacherWidth = Loss.LabelKind == SoftLabelKind.Embedding ? width : 0;
        var teacher = Enumerable.Range(0, count * Math.Max(teacherWidth, 1))
            .Select(i => random.Next(-30, 31) / 10.0 + 0.037 * i).ToArray();
        for (var i = 0; i < teacher.Length; i++)
        {
            teacher[i] = Loss.LabelKind switch
            {
                SoftLabelKind.Class => random.Next(2),
                SoftLabelKind.Position => random.Next(1, 8),
                SoftLabelKind.Probability => random.NextDouble(),
                SoftLabelKind.Prediction when !Loss.LabelIsLogits => random.NextDouble(),
                _ => teacher[i],
            };
        }
        return new(student, teacher, width, teacherWidth,
            [.. Enumerable.Range(0, count).Select(_ => (long)random.Next(sessions))],
            [.. Enumerable.Range(0, count).Select(_ => (double)random.Next(2))],
            [.. Enumerable.Range(0, count).Select(_ => 0.5 + random.NextDouble())]);
    }

    private static string Block(string name, params string[] fields) => $$"""
        "{{name}}": { {{string.Join(", ", fields)}} }
        """;
}

/// <param name="Width">Numbers a row of the student; 0: one, not in an array. <paramref name="TeacherWidth"/> likewise.</param>
internal sealed record LossRows(double[] Student, double[] Teacher, int Width, int TeacherWidth, long[] Sessions, double[] Labels, double[] Bids)
{
    public int Count => Sessions.Length;

    public double[]? Weights { get; init; }

    /// <summary>The value, and dL/dstudent.</summary>
    public (double Value, double[] Gradient) Evaluate(DistillationLoss loss, ScalarType type = ScalarType.Float64)
    {
        using var scope = NewDisposeScope();
        var student = Shaped(Student, Width).to_type(type).requires_grad_();
        var teacher = Shaped(Teacher, TeacherWidth).to_type(type).requires_grad_();
        var value = loss.Value(new(student, teacher, SessionIndex.Of(Sessions))
        {
            Weights = Weights is null ? null : tensor(Weights).to_type(type),
            Columns = new Dictionary<string, Tensor> { ["label"] = tensor(Labels).to_type(type), ["bid"] = tensor(Bids).to_type(type) },
        });
        value.backward();
        Assert.True(teacher.grad is null, "the teacher received a gradient");
        return (value.to_type(ScalarType.Float64).ToDouble(), [.. student.grad!.to_type(ScalarType.Float64).contiguous().data<double>()]);
    }

    /// <summary>The candidates at these places, in this order.</summary>
    public LossRows At(IReadOnlyList<int> places) => this with
    {
        Student = [.. places.SelectMany(p => Row(Student, p, Width))],
        Teacher = [.. places.SelectMany(p => Row(Teacher, p, TeacherWidth))],
        Sessions = [.. places.Select(p => Sessions[p])],
        Labels = [.. places.Select(p => Labels[p])],
        Bids = [.. places.Select(p => Bids[p])],
        Weights = Weights is null ? null : [.. places.Select(p => Weights[p])],
    };

    private static IEnumerable<double> Row(double[] values, int row, int width) => values.Skip(row * Math.Max(width, 1)).Take(Math.Max(width, 1));

    private Tensor Shaped(double[] values, int width)
    {
        var flat = values.Length == 0 ? empty([0], dtype: ScalarType.Float64) : tensor(values);
        return width == 0 ? flat : flat.reshape(Count, width);
    }
}
