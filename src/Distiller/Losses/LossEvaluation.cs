using System.Text.Json.Serialization;
using KdServing.Contracts;
using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>What one <c>kd</c> entry says of a table.</summary>
/// <param name="Value">Times <c>loss_weight</c>.</param>
/// <param name="Gradient">dL/dprediction of each row: a number, or an array of them for a vector.</param>
public sealed record LossReport(string LossName, string LossType, double Value, IReadOnlyList<object> Gradient)
{
    /// <summary>Columns the entry compares.</summary>
    [JsonIgnore]
    public (string Prediction, string SoftLabel) Columns { get; init; }
}

/// <summary>Values and gradients of a <c>kd</c> list on a table, in float64: what training would do with these rows.</summary>
public sealed class LossEvaluation(LossTable table)
{
    /// <exception cref="ContractException">Names the field, its value and what is valid.</exception>
    public IReadOnlyList<LossReport> Evaluate(IReadOnlyList<KdLossConfig> kd)
    {
        var names = new HashSet<string>();
        for (var k = 0; k < kd.Count; k++)
        {
            if (!names.Add(kd[k].Name))
                throw new ContractException($"kd[{k}].loss_name", $"'{kd[k].Name}' is taken; give every loss a name of its own ({string.Join(", ", names)})");
        }
        // Every entry is checked before the first is computed.
        var losses = kd.Select((config, k) => LossCatalogue.Create(config, $"kd[{k}]")).ToList();
        return [.. kd.Select((config, k) => Evaluate(losses[k], config, $"kd[{k}]"))];
    }

    private LossReport Evaluate(DistillationLoss loss, KdLossConfig config, string field)
    {
        if (table.Rows == 0)
            return Report(0, []);
        using var scope = NewDisposeScope();
        var student = table.Numbers(config.PredName, $"{field}.pred_name");
        var teacher = table.Numbers(config.SoftLabelName, $"{field}.soft_label_name", nullable: true);
        RequireShapes(loss, config, field, student, teacher);
        var known = (teacher.Dimensions > 1 ? teacher.isnan().any(1) : teacher.isnan()).logical_not().nonzero().reshape(-1);
        student.requires_grad_();
        teacher = teacher.index_select(0, known);
        RequireRange(loss, config, field, student, teacher);

        var weights = Weights(config, field);
        var sessions = loss.Session is { } session ? table.Ids(session.Name, session.Field) : new long[table.Rows];
        long[] places = [.. known.data<long>()];
        var input = new LossInput(student.index_select(0, known), teacher, SessionIndex.Of([.. places.Select(p => sessions[p])]))
        {
            Weights = weights?.index_select(0, known),
            Columns = loss.Columns.ToDictionary(c => c.Name, c => Numbers(c).index_select(0, known)),
        };
        loss.RequireValues(input);
        var value = loss.Value(input).mul(loss.Weight);
        if (!double.IsFinite((double)value))
            throw new ContractException(field, FormattableString.Invariant($"its value on this table is {(double)value}; its columns hold values that {config.LossType} has no logarithm of"));
        value.backward();
        return Report((double)value, Rows(student.grad!));

        LossReport Report(double of, IReadOnlyList<object> gradient) =>
            new(loss.Name, config.LossType!, of, gradient) { Columns = (config.PredName!, config.SoftLabelName!) };
    }

    private Tensor Numbers(LossColumn column)
    {
        var values = table.Numbers(column.Name, column.Field, nullable: true);
        return values.Dimensions == 1 ? values : throw new ContractException(column.Field, $"'{column.Name}' holds arrays; it must hold one number a row");
    }

    private Tensor? Weights(KdLossConfig config, string field) => config.TaskSpaceIndicatorName is not { } name ? null
        : tensor(table.Equal(name, config.TaskSpaceIndicatorValue!, $"{field}.task_space_indicator_name")
            .Select(inside => inside ? config.InTaskSpaceWeight : config.OutTaskSpaceWeight).ToArray());

    private static void RequireShapes(DistillationLoss loss, KdLossConfig config, string field, Tensor student, Tensor teacher)
    {
        var width = student.Dimensions > 1 ? student.shape[1] : 1;
        var is2 = loss.LabelKind == SoftLabelKind.Class;
        if (width > 1 && !loss.TakesVectors)
            throw new ContractException($"{field}.pred_name", $"'{config.PredName}' holds arrays; {config.LossType} needs one number a row");
        if (student.shape[0] > 0 && (width == 1 && loss.NeedsVectors || is2 && width != 2))
            throw new ContractException($"{field}.pred_name", $"'{config.PredName}' holds {width} number(s) a row; {config.LossType} needs {(is2 ? "two" : "an array")}");
        var expected = is2 ? 1 : width;
        var actual = teacher.Dimensions > 1 ? teacher.shape[1] : 1;
        if (actual != expected)
            throw new ContractException($"{field}.soft_label_name", $"'{config.SoftLabelName}' holds {actual} number(s) a row; {config.LossType} compares it with {expected} of '{config.PredName}'");
    }

    // A column on another scale than its flag says would be trained on without a word.
    private static void RequireRange(DistillationLoss loss, KdLossConfig config, string field, Tensor student, Tensor teacher)
    {
        const string Probabilities = "a probability from 0 to 1";
        if (!config.PredIsLogits && !config.EasyrecCompat)
            Require(student, Fraction, $"{field}.pred_is_logits", $"is false, but '{config.PredName}'", Probabilities);
        if (loss.LabelKind == SoftLabelKind.Prediction && !loss.LabelIsLogits && !config.EasyrecCompat)
            Require(teacher, Fraction, $"{field}.{loss.LabelIsLogitsField}", $"is false, but '{config.SoftLabelName}'", $"{Probabilities}; set it to true for logits");
        if (loss.LabelKind == SoftLabelKind.Probability)
            Require(teacher, Fraction, $"{field}.soft_label_name", $"'{config.SoftLabelName}'", $"{Probabilities} for {config.LossType}");
        if (loss.LabelKind == SoftLabelKind.Class)
            Require(teacher, v => v is 0 or 1, $"{field}.soft_label_name", $"'{config.SoftLabelName}'", $"0 or 1 for {config.LossType}");
        if (loss.LabelKind == SoftLabelKind.Position && !config.EasyrecCompat)
            Require(teacher, v => v >= 1 && v == Math.Floor(v), $"{field}.soft_label_name", $"'{config.SoftLabelName}'", "a place among the candidates, 1 the best");

        static bool Fraction(double v) => v is >= 0 and <= 1;
    }

    private static void Require(Tensor values, Func<double, bool> holds, string field, string what, string rule)
    {
        foreach (var value in values.detach().reshape(-1).data<double>())
        {
            if (!holds(value))
                throw new ContractException(field, FormattableString.Invariant($"{what} holds {value}; must be {rule}"));
        }
    }

    private static List<object> Rows(Tensor gradient)
    {
        double[] values = [.. gradient.contiguous().data<double>()];
        if (gradient.Dimensions == 1)
            return [.. values.Cast<object>()];
        return [.. values.Chunk((int)gradient.shape[1])];
    }
}
