using KdServing.Contracts;
using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>Pulls a student's predictions towards a teacher's. One instance an entry of the <c>kd</c> list; stateless.</summary>
/// <param name="config">Checked by <see cref="LossCatalogue"/>.</param>
public abstract class DistillationLoss(KdLossConfig config)
{
    /// <summary>Keras' backend epsilon, with which EasyRec clips probabilities.</summary>
    protected const double Epsilon = 1e-7;

    protected KdLossConfig Config { get; } = config;

    public string Name => Config.Name;

    public double Weight => Config.LossWeight;

    /// <summary>The column of session ids; null for a loss that knows no sessions.</summary>
    public virtual LossColumn? Session => null;

    /// <summary>Further columns it reads.</summary>
    public virtual IReadOnlyList<LossColumn> Columns => [];

    public virtual SoftLabelKind LabelKind => SoftLabelKind.Prediction;

    /// <summary>False when <see cref="LabelKind"/> is a prediction and the values are probabilities.</summary>
    public virtual bool LabelIsLogits => Config.LabelIsLogits;

    /// <summary>The field of the entry that <see cref="LabelIsLogits"/> was read from.</summary>
    public virtual string LabelIsLogitsField => "label_is_logits";

    /// <summary>Predictions may be vectors, one number a class.</summary>
    public virtual bool TakesVectors => false;

    /// <summary>Predictions must be vectors.</summary>
    public virtual bool NeedsVectors => false;

    /// <summary>A candidate can weigh less than another (<c>in_task_space_weight</c>, <c>out_task_space_weight</c>).</summary>
    public virtual bool TakesWeights => true;

    /// <summary>Refuses values of <see cref="Columns"/> that mean nothing; for tables people write, since the stream's are checked elsewhere.</summary>
    /// <exception cref="KdServing.Contracts.ContractException">Names the column and its valid values.</exception>
    public virtual void RequireValues(LossInput input)
    {
    }

    /// <summary>The loss without its <see cref="Weight"/>, a scalar; 0 when there is nothing to compare.</summary>
    /// <remarks>No gradient flows into the teacher.</remarks>
    public Tensor Value(LossInput input) => Compare(input with { Teacher = input.Teacher.detach() });

    /// <inheritdoc cref="Value(LossInput)"/>
    public Tensor Value(Tensor student, Tensor teacher, SessionIndex sessions) => Value(new(student, teacher, sessions));

    /// <summary><see cref="Slope"/> can be asked: value and gradient are computed without autograd, much faster than <see cref="Value(LossInput)"/>.</summary>
    public virtual bool KnowsSlope => false;

    /// <summary>The loss without its <see cref="Weight"/>, and its gradient; float32.</summary>
    /// <param name="scale">Multiplies the gradient, not the value.</param>
    /// <param name="gradient">[N]; scale·dL/dstudent is added.</param>
    public virtual double Slope(in LossSpans input, double scale, Span<float> gradient) => throw new NotSupportedException(Config.LossType);

    protected abstract Tensor Compare(LossInput input);

    /// <summary>Both sides as logits over the temperature.</summary>
    protected (Tensor Student, Tensor Teacher) SoftenedLogits(LossInput input)
    {
        var s = Logits(input.Student, Config.PredIsLogits);
        var t = Logits(input.Teacher, Config.LabelIsLogits);
        // EasyRec takes a temperature of 0 or less for none; the catalogue lets it pass only then.
        return Config.Temperature > 0 ? (s.div(Config.Temperature), t.div(Config.Temperature)) : (s, t);
    }

    /// <summary>The factor of <see cref="KdLossConfig.ScaleByT2"/>.</summary>
    protected double T2 => Config.ScaleByT2 ?? false ? Config.Temperature * Config.Temperature : 1;

    /// <summary>
    /// Logits of one number a row, or log-probabilities of a vector. EasyRec's cross entropy takes log(p) for a single number too,
    /// whose sigmoid never passes 0.5; the inverse of the sigmoid is right.
    /// </summary>
    protected static Tensor Logits(Tensor values, bool isLogits)
    {
        if (isLogits)
            return values;
        if (values.Dimensions > 1)
            return values.add(Epsilon).log();
        var p = values.clamp(Epsilon, 1 - Epsilon);
        return p.log().sub((1 - p).log());
    }

    /// <summary>Σ weight·loss / how many weights are not 0 ("sum by nonzero weights" of TensorFlow 1); 0 over nothing.</summary>
    protected static Tensor Mean(Tensor losses, Tensor? weights)
    {
        if (weights is null)
            return losses.numel() == 0 ? losses.sum() : losses.mean();
        return losses.mul(weights).sum().div(weights.ne(0).sum().clamp_min(1));
    }

    /// <summary>Online hard example mining: mean over those of the <paramref name="ratio"/> largest losses that are above 0; 0 over nothing.</summary>
    protected static Tensor HardestMean(Tensor losses, double ratio)
    {
        var kept = (int)Math.Round(losses.numel() * ratio, MidpointRounding.ToEven);
        if (kept == 0)
            return losses.mul(0).sum();
        var hardest = losses.topk(kept, sorted: false).values.clamp_min(0);
        return hardest.sum().div(hardest.gt(0).sum().clamp_min(1));
    }

    /// <summary>For losses whose formula is of logits alone.</summary>
    protected static void RequireLogits(KdLossConfig config, string field) => Require(config.PredIsLogits || config.EasyrecCompat,
        $"{field}.pred_is_logits", "false", $"must be true for {config.LossType}: name the logits in pred_name");

    protected static void RequireTemperature(double temperature, string field) =>
        Require(temperature > 0 && double.IsFinite(temperature), field, temperature, "must be above 0");

    protected static void RequireRatio(double ratio, string field) =>
        Require(ratio is > 0 and <= 1, field, ratio, "must be above 0 and at most 1");

    protected static void RequireFinite(double? value, string field) =>
        Require(value is null || double.IsFinite(value.Value), field, value ?? 0, "must be a finite number");

    protected static void RequireNotNegative(double value, string field) =>
        Require(value >= 0 && double.IsFinite(value), field, value, "must be 0 or more");

    protected static void Require(bool holds, string field, object value, string rule)
    {
        if (!holds)
            throw new ContractException(field, FormattableString.Invariant($"is {value}; {rule}"));
    }

    /// <summary>For losses that compare logits softened by the entry's own temperature.</summary>
    protected static void RequirePointwise(KdLossConfig config, string field)
    {
        if (!config.EasyrecCompat)
            RequireTemperature(config.Temperature, $"{field}.temperature");
        if (config.EasyrecCompat && config.ScaleByT2 == true)
            throw new ContractException($"{field}.scale_by_t2", "is true, but EasyRec never scales by T²; leave it out or drop easyrec_compat");
    }

    /// <summary>For losses that read no temperature of the entry.</summary>
    /// <param name="instead">The field that does what was meant; null when there is none.</param>
    protected static void RequireNoTemperature(KdLossConfig config, string field, string? instead)
    {
        if (config.Temperature != 1 && !config.EasyrecCompat)
            throw new ContractException($"{field}.temperature", $"is not used by {config.LossType}; {(instead is null ? "leave it out" : $"set {instead}")}");
        if (config.ScaleByT2 == true)
            throw new ContractException($"{field}.scale_by_t2", $"is for losses with the entry's own temperature; weigh {config.LossType} with loss_weight");
    }
}
