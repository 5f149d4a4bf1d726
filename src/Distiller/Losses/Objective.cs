using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Training;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace KdServing.Distiller.Losses;

/// <summary>Names that a method adds to those a <c>kd</c> entry can use.</summary>
/// <param name="Heads">Further heads: <c>HEAD_logits</c>, <c>HEAD_probs</c>.</param>
/// <param name="SoftLabels">Soft labels that are made in training.</param>
/// <param name="Sources">Soft labels of the stream that are decoded whether an entry names them or not.</param>
public sealed record ObjectiveNames(IReadOnlyList<string> Heads, IReadOnlyList<string> SoftLabels, IReadOnlyList<SoftLabelSource> Sources);

/// <summary>What a student minimises: the hard-label loss of every target plus the entries of <c>kd</c>, each by its weight.</summary>
/// <remarks>One thread; one instance a learner.</remarks>
public sealed class Objective
{
    private readonly FeatureSchema schema;
    private readonly ObjectiveNames made;
    private readonly HardLabelLoss hard;
    private readonly List<Entry> soft = [];
    private readonly List<SoftLabelSource> sources;
    private readonly SortedDictionary<string, double> values = new(StringComparer.Ordinal);

    /// <param name="kd">Empty for a student that learns from labels only.</param>
    /// <param name="names">What a method adds; null: nothing.</param>
    /// <exception cref="ContractException">Names the field and its valid values.</exception>
    public Objective(FeatureSchema schema, HardLabelConfig hardLabel, IReadOnlyList<KdLossConfig> kd, ObjectiveNames? names = null)
    {
        this.schema = schema;
        made = names ?? new([], [], []);
        sources = [.. made.Sources];
        hard = new(hardLabel);
        var taken = new HashSet<string> { "hard" };
        for (var k = 0; k < kd.Count; k++)
        {
            var entry = Read(kd[k], $"kd[{k}]");
            if (!taken.Add(kd[k].Name))
                throw new ContractException($"kd[{k}].loss_name", $"'{kd[k].Name}' is taken; give every loss a name of its own ({string.Join(", ", taken)})");
            soft.Add(entry);
        }
        if (hard.Weight == 0 && soft.Count == 0)
            throw new ContractException("hard_label.weight", "is 0 and kd is empty: there would be nothing to learn from");
    }

    /// <summary>Soft labels it reads; a <see cref="FeatureBatch"/> it is given must be made with this list.</summary>
    public IReadOnlyList<SoftLabelSource> Sources => sources;

    /// <summary>Unweighted value of each loss in the last batch, by name.</summary>
    public IReadOnlyDictionary<string, double> Values => values;

    /// <summary>The weighted sum; null when the batch holds nothing to learn from.</summary>
    /// <param name="logits">[N, T]; requires grad.</param>
    public TotalLoss? Value(Tensor logits, FeatureBatch batch) => Value(new LearningStep(batch, logits));

    /// <inheritdoc cref="Value(Tensor, FeatureBatch)"/>
    /// <param name="step">With what the parts of a method have added.</param>
    public TotalLoss? Value(LearningStep step)
    {
        values.Clear();
        var total = new TotalLoss();
        var hardWeight = hard.WeightAt(step.Number);
        for (var t = 0; t < schema.Targets.Count && hardWeight > 0; t++)
        {
            // A head without a gradient must stay without one: a gradient of zeros would still move Adam's moments.
            if (hard.Counts(step.Batch, t))
                Know(schema.Targets.Count == 1 ? "hard" : $"hard_{schema.Targets[t]}", hard.Slope(step.PredictionValues(""), step.Batch, t, hardWeight, step.Gradient("")), hardWeight);
        }
        foreach (var entry in soft)
        {
            var weight = entry.Loss.Weight * (entry.Config.WeightSchedule?.At(step.Number) ?? 1);
            if (weight == 0)
                continue;
            if (entry.KnowsSlope)
                Know(entry.Loss.Name, Slope(entry, step, weight), weight);
            else
                Add(entry.Loss.Name, Compare(entry, step), weight);
        }
        foreach (var (name, loss, weight) in step.Terms)
            Add(name, loss, weight);
        foreach (var (logits, gradient) in step.Gradients)
            total.Inject(logits, gradient);
        return values.Count == 0 ? null : total;

        void Know(string name, double? value, double weight)
        {
            if (value is not { } known)
                return;
            values[name] = known;
            total.Add(known * weight);
        }

        void Add(string name, Tensor? loss, double weight)
        {
            if (loss is null)
                return;
            values[name] = (double)loss;
            total.Add(loss.mul(weight));
        }
    }

    // As Compare, on plain numbers: adds weight·dL/dlogits to the head's gradient.
    private double? Slope(Entry entry, LearningStep step, double weight)
    {
        var (loss, batch, targets) = (entry.Loss, step.Batch, schema.Targets.Count);
        var made = entry.Made is null ? null : step.SoftLabels(entry.Made);
        var scored = made is not null ? ScoredCandidates.In(made.Known) : ScoredCandidates.In(batch.SoftLabels(entry.Source));
        if (scored.AreNone || batch.Candidates == 0)
            return null;
        var logits = step.PredictionValues(entry.Head);
        var isWhole = scored.Places is null && targets == 1;
        var student = isWhole ? logits : scored.Column(logits, targets, entry.Target);
        var teacher = made is not null ? scored.Column(MemoryMarshal.Cast<byte, float>(made.Logits.contiguous().bytes), targets, entry.Target)
            : scored.Places is null ? batch.SoftLabels(entry.Source)
            : scored.Column(batch.SoftLabels(entry.Source), 1, 0);
        var sessions = loss.Session is null ? SessionIndex.Uniform(1, student.Length) : scored.Sessions(step);
        var weights = entry.Space?.Weights(batch, scored.Places);
        float[]? ofSessions = null;
        if (entry.Made is null && step.RecordWeights(entry.Source) is { } records)
        {
            if (!loss.TakesWeights)
                ofSessions = scored.OfSessions(records, batch);
            else
                weights = Product(weights, scored.OfCandidates(records, batch));
        }
        var input = new LossSpans
        {
            Student = student,
            Teacher = Teacher(loss, teacher, sessions),
            Sessions = sessions,
            Weights = weights,
            SessionWeights = ofSessions,
        };
        var gradient = step.Gradient(entry.Head);
        if (isWhole)
            return loss.Slope(input, weight, gradient);
        var slopes = new float[student.Length];
        var value = loss.Slope(input, weight, slopes);
        for (var i = 0; i < slopes.Length; i++)
            gradient[scored.At(i) * targets + entry.Target] += slopes[i];
        return value;
    }

    private Tensor? Compare(Entry entry, LearningStep step)
    {
        var (loss, batch) = (entry.Loss, step.Batch);
        var labels = entry.Made is null ? null : step.SoftLabels(entry.Made);
        var scored = labels is not null ? ScoredCandidates.In(labels.Known) : ScoredCandidates.In(batch.SoftLabels(entry.Source));
        if (scored.AreNone)
            return null;
        var prediction = scored.Select(step.Prediction(entry.Head).select(1, entry.Target));
        var teacher = labels is not null
            ? scored.Select(labels.Logits.select(1, entry.Target))
            : scored.AsTensor(batch.SoftLabels(entry.Source)).to(prediction.device);
        var sessions = loss.Session is null ? SessionIndex.Uniform(1, (int)prediction.shape[0]) : scored.Sessions(step);
        var weights = entry.Space?.Weights(batch, scored.Places);
        var records = entry.Made is null ? step.RecordWeights(entry.Source) : null;
        if (records is not null && loss.TakesWeights)
            weights = Product(weights, scored.OfCandidates(records, batch));
        return loss.Value(new(entry.Probabilities ? prediction.sigmoid() : prediction, Teacher(loss, teacher, sessions), sessions)
        {
            Weights = weights is null ? null : tensor(weights).to(prediction.device),
            SessionWeights = records is null || loss.TakesWeights ? null : tensor(scored.OfSessions(records, batch)).to(prediction.device),
            Columns = TrainingColumns.Columns(loss, schema, batch, entry.Target, scored.Places),
            Draw = step.Draw,
        });
    }

    private Entry Read(KdLossConfig config, string field)
    {
        var (head, target, probabilities) = Prediction(config, field);
        var made = config.SoftLabelName is { } name && this.made.SoftLabels.Contains(name) ? name : null;
        var source = -1;
        if (made is null)
        {
            var from = SoftLabelSource.Parse(config.SoftLabelName, schema.Targets[target], schema, $"{field}.soft_label_name");
            if (!sources.Contains(from))
                sources.Add(from);
            source = sources.IndexOf(from);
        }
        var loss = LossCatalogue.Create(config, field);
        TrainingColumns.Require(loss, config, schema, field);
        return new(loss, config, head, target, probabilities, source, made, TaskSpace.Parse(config, schema, field));
    }

    private (string Head, int Target, bool Probabilities) Prediction(KdLossConfig config, string field)
    {
        var names = new List<string>();
        foreach (var head in (string[])["", .. made.Heads])
        {
            var prefix = head == "" ? "" : $"{head}_";
            for (var t = 0; t < schema.Targets.Count; t++)
            {
                foreach (var kind in (string[])["logits", "probs"])
                {
                    var whole = $"{prefix}{kind}_{schema.Targets[t]}";
                    string[] spellings = schema.Targets.Count == 1 ? [$"{prefix}{kind}", whole] : [whole];
                    names.AddRange(spellings);
                    if (!spellings.Contains(config.PredName))
                        continue;
                    if (config.PredIsLogits != (kind == "logits"))
                        throw new ContractException($"{field}.pred_is_logits", $"must be {(kind == "logits" ? "true" : "false")} for {config.PredName}");
                    return (head, t, kind == "probs");
                }
            }
        }
        throw new ContractException($"{field}.pred_name", $"'{config.PredName}' is not a prediction; one of {string.Join(", ", names)}");
    }

    // Teachers stream logits; what a loss wants of them may be something else.
    private static Tensor Teacher(DistillationLoss loss, Tensor logits, SessionIndex sessions) => loss.LabelKind switch
    {
        SoftLabelKind.Probability => logits.sigmoid(),
        SoftLabelKind.Position => sessions.Ranks(logits).add(1),
        _ => logits,
    };

    private static float[] Product(float[]? weights, float[] by)
    {
        if (weights is null)
            return by;
        TensorPrimitives.Multiply(weights, by, weights);
        return weights;
    }

    private static ReadOnlySpan<float> Teacher(DistillationLoss loss, ReadOnlySpan<float> logits, SessionIndex sessions)
    {
        if (loss.LabelKind is not (SoftLabelKind.Probability or SoftLabelKind.Position))
            return logits;
        var labels = new float[logits.Length];
        if (loss.LabelKind == SoftLabelKind.Probability)
        {
            TensorPrimitives.Sigmoid(logits, labels);
            return labels;
        }
        sessions.Ranks(logits, labels);
        TensorPrimitives.Add(labels, 1, labels);
        return labels;
    }

    /// <param name="Head">Whose logits; empty: the student's own.</param>
    /// <param name="Source">Place in <see cref="Sources"/>; -1 when <paramref name="Made"/> names a soft label of a part.</param>
    private sealed record Entry(DistillationLoss Loss, KdLossConfig Config, string Head, int Target, bool Probabilities, int Source, string? Made,
        TaskSpace? Space)
    {
        // A loss on probabilities has another step before it, and one with further columns reads more than spans hold.
        public bool KnowsSlope { get; } = Loss.KnowsSlope && !Probabilities && Loss.Columns.Count == 0;
    }
}
