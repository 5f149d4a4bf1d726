using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>What a student minimises: the hard-label loss of every target plus the entries of <c>kd</c>, each by its weight.</summary>
/// <remarks>One thread; one instance a learner.</remarks>
public sealed class Objective
{
    private readonly FeatureSchema schema;
    private readonly HardLabelLoss hard;
    private readonly List<(DistillationLoss Loss, KdLossConfig Config, int Target, bool Probabilities, int Source)> soft = [];
    private readonly List<SoftLabelSource> sources = [];
    private readonly SortedDictionary<string, double> values = new(StringComparer.Ordinal);

    /// <param name="kd">Empty for a student that learns from labels only.</param>
    /// <exception cref="ContractException">Names the field and its valid values.</exception>
    public Objective(FeatureSchema schema, HardLabelConfig hardLabel, IReadOnlyList<KdLossConfig> kd)
    {
        this.schema = schema;
        hard = new(hardLabel);
        var names = new HashSet<string> { "hard" };
        for (var k = 0; k < kd.Count; k++)
        {
            var (target, probabilities) = Prediction(kd[k], $"kd[{k}]");
            var source = SoftLabelSource.Parse(kd[k].SoftLabelName, schema.Targets[target], schema, $"kd[{k}].soft_label_name");
            if (!names.Add(kd[k].Name))
                throw new ContractException($"kd[{k}].loss_name", $"'{kd[k].Name}' is taken; give every loss a name of its own ({string.Join(", ", names)})");
            if (!sources.Contains(source))
                sources.Add(source);
            var loss = LossCatalogue.Create(kd[k], $"kd[{k}]");
            TrainingColumns.Require(loss, kd[k], schema, $"kd[{k}]");
            soft.Add((loss, kd[k], target, probabilities, sources.IndexOf(source)));
        }
        if (hard.Weight == 0 && soft.Count == 0)
            throw new ContractException("hard_label.weight", "is 0 and kd is empty: there would be nothing to learn from");
    }

    /// <summary>Soft labels it reads; a <see cref="FeatureBatch"/> it is given must be made with this list.</summary>
    public IReadOnlyList<SoftLabelSource> Sources => sources;

    /// <summary>Unweighted value of each loss in the last batch, by name.</summary>
    public IReadOnlyDictionary<string, double> Values => values;

    /// <summary>The weighted sum, a scalar; null when the batch holds nothing to learn from.</summary>
    /// <param name="logits">[N, T]; requires grad.</param>
    public Tensor? Value(Tensor logits, FeatureBatch batch)
    {
        values.Clear();
        Tensor? total = null;
        if (hard.Weight > 0)
        {
            for (var t = 0; t < schema.Targets.Count; t++)
            {
                if (hard.Value(logits.select(1, t), batch, t) is { } loss)
                    Add(schema.Targets.Count == 1 ? "hard" : $"hard_{schema.Targets[t]}", loss, hard.Weight);
            }
        }
        foreach (var (loss, config, target, probabilities, source) in soft)
        {
            var labels = batch.SoftLabels(source);
            var scored = Scored(labels);
            if (scored is { Length: 0 } || loss.Weight == 0)
                continue;
            var prediction = logits.select(1, target);
            if (scored is not null)
                prediction = prediction.index_select(0, tensor(scored).to(logits.device));
            var sessions = loss.Session is null ? SessionIndex.Uniform(1, (int)prediction.shape[0]) : Sessions(batch, scored);
            var input = new LossInput(probabilities ? prediction.sigmoid() : prediction, Teacher(loss, Soft(labels, scored).to(logits.device), sessions), sessions)
            {
                Weights = TrainingColumns.Weights(config, batch, scored)?.to(logits.device),
                Columns = TrainingColumns.Columns(loss, schema, batch, target, scored),
            };
            Add(loss.Name, loss.Value(input), loss.Weight);
        }
        return total;

        void Add(string name, Tensor loss, double weight)
        {
            values[name] = loss.ToDouble();
            var weighted = loss.mul(weight);
            total = total is null ? weighted : total.add(weighted);
        }
    }

    private (int Target, bool Probabilities) Prediction(KdLossConfig config, string field)
    {
        var names = new List<string>();
        for (var t = 0; t < schema.Targets.Count; t++)
        {
            foreach (var kind in (string[])["logits", "probs"])
            {
                string[] spellings = schema.Targets.Count == 1 ? [kind, $"{kind}_{schema.Targets[t]}"] : [$"{kind}_{schema.Targets[t]}"];
                names.AddRange(spellings);
                if (!spellings.Contains(config.PredName))
                    continue;
                if (config.PredIsLogits != (kind == "logits"))
                    throw new ContractException($"{field}.pred_is_logits", $"must be {(kind == "logits" ? "true" : "false")} for {config.PredName}");
                return (t, kind == "probs");
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

    // Places of the candidates that this teacher scored; null when it scored all of them.
    private static long[]? Scored(ReadOnlySpan<float> labels)
    {
        var absent = 0;
        foreach (var label in labels)
            absent += float.IsNaN(label) ? 1 : 0;
        if (absent == 0 && labels.Length > 0)
            return null;
        var places = new long[labels.Length - absent];
        for (int i = 0, next = 0; i < labels.Length; i++)
        {
            if (!float.IsNaN(labels[i]))
                places[next++] = i;
        }
        return places;
    }

    private static Tensor Soft(ReadOnlySpan<float> labels, long[]? scored)
    {
        var soft = empty([scored?.Length ?? labels.Length], dtype: ScalarType.Float32);
        var values = MemoryMarshal.Cast<byte, float>(soft.bytes);
        for (var i = 0; i < values.Length; i++)
            values[i] = labels[scored is null ? i : (int)scored[i]];
        return soft;
    }

    private static SessionIndex Sessions(FeatureBatch batch, long[]? scored)
    {
        if (scored is null)
            return batch.UniformCandidates > 0 ? SessionIndex.Uniform(batch.Records, batch.UniformCandidates) : SessionIndex.Of(batch.RowOf);
        var rowOf = batch.RowOf;
        var sessionOf = new long[scored.Length];
        for (var i = 0; i < scored.Length; i++)
            sessionOf[i] = rowOf[(int)scored[i]];
        return SessionIndex.Of(sessionOf);
    }
}
