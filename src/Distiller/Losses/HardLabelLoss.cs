using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Distiller.Training;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary><c>hard_label</c> of distiller.json.</summary>
public sealed record HardLabelConfig
{
    public double Weight { get; init; } = 1;

    /// <summary>Candidates whose labels count; sampled ones only if listed.</summary>
    public IReadOnlyList<string> Origins { get; init; } = ["exposed"];

    /// <summary>Multiplies <see cref="Weight"/> as training goes on; null: always 1.</summary>
    public Schedule? WeightSchedule { get; init; }

    /// <summary>Correct the logits of sampled candidates by their sampling probability.</summary>
    public bool LogQCorrection { get; init; } = true;
}

/// <summary>Binary cross entropy over the labelled candidates, mean over them; unknown labels contribute nothing.</summary>
/// <remarks>
/// A candidate sampled with probability q stands for 1/q of its kind. Among what is seen, its odds of being positive are
/// p/(1−p) divided by q for the negatives' share: p / ((1−p)·q). So the logit that fits what is seen is s − log q, and s itself
/// stays the logit of the whole population (King, Zeng 2001; sampled softmax' correction). Where clicks are rare, softplus(s − log q)
/// ≈ eˢ/q, the importance weight 1/q, but its gradient stays below 1 however small q is.
/// Exposed candidates have log q = 0.
/// </remarks>
public sealed class HardLabelLoss
{
    private readonly HardLabelConfig config;
    private readonly bool[] counts = new bool[4];
    private readonly List<long> places = [];
    private readonly List<float> labels = [];
    private readonly List<float> logQ = [];

    /// <exception cref="ContractException">Names the field and its valid values.</exception>
    public HardLabelLoss(HardLabelConfig config)
    {
        this.config = config;
        if (!double.IsFinite(config.Weight) || config.Weight < 0)
            throw new ContractException("hard_label.weight", $"is {config.Weight}; must be 0 or more");
        config.WeightSchedule?.Require("hard_label.weight_schedule");
        for (var i = 0; i < config.Origins.Count; i++)
        {
            counts[(int)(config.Origins[i] switch
            {
                "exposed" => CandidateOrigin.Exposed,
                "sampled" => CandidateOrigin.Sampled,
                var other => throw new ContractException($"hard_label.origins[{i}]", $"'{other}' is unknown; exposed or sampled"),
            })] = true;
        }
    }

    public double Weight => config.Weight;

    /// <summary>The weight of a step.</summary>
    /// <param name="step">Steps taken before it.</param>
    public double WeightAt(long step) => config.Weight * (config.WeightSchedule?.At(step) ?? 1);

    /// <summary>The unweighted loss of one target; null when no candidate of the batch counts.</summary>
    /// <param name="logits">[N].</param>
    /// <param name="only">Leaves out the candidates where it is false, [N]; empty: all may count.</param>
    public Tensor? Value(Tensor logits, FeatureBatch batch, int target, ReadOnlySpan<bool> only = default)
    {
        Count(batch, target, only);
        if (places.Count == 0)
            return null;
        if (places.Count < batch.Candidates)
            logits = logits.index_select(0, Copy(places).to(logits.device));
        var corrected = logits.sub(Copy(logQ).to(logits.device));
        return functional.softplus(corrected).sub(corrected.mul(Copy(labels).to(logits.device))).mean();
    }

    /// <summary>Whether any candidate of the batch counts.</summary>
    public bool Counts(FeatureBatch batch, int target)
    {
        Count(batch, target, default);
        return places.Count > 0;
    }

    /// <summary>The same of plain numbers, with its gradient.</summary>
    /// <param name="logits">Row-major [N, T].</param>
    /// <param name="scale">Multiplies the gradient, not the value.</param>
    /// <param name="gradient">[N, T]; scale·dL/dlogits of the target is added.</param>
    public double? Slope(ReadOnlySpan<float> logits, FeatureBatch batch, int target, double scale, Span<float> gradient)
    {
        Count(batch, target, default);
        var n = places.Count;
        if (n == 0)
            return null;
        var targets = logits.Length / batch.Candidates;
        var (corrected, losses) = (new float[n], new float[n]);
        for (var i = 0; i < n; i++)
            corrected[i] = logits[(int)places[i] * targets + target] - logQ[i];
        Logistic.Softplus(corrected, losses);
        var value = 0.0;
        for (var i = 0; i < n; i++)
            value += losses[i] - (double)corrected[i] * labels[i];
        Logistic.Sigmoid(corrected, corrected);
        for (var i = 0; i < n; i++)
            gradient[(int)places[i] * targets + target] += (float)(scale / n) * (corrected[i] - labels[i]);
        return value / n;
    }

    // Which candidates count, with their labels and log q.
    private void Count(FeatureBatch batch, int target, ReadOnlySpan<bool> only)
    {
        places.Clear();
        labels.Clear();
        logQ.Clear();
        var states = batch.Labels(target);
        var origins = batch.Origins;
        for (var i = 0; i < states.Length; i++)
        {
            if (states[i] == (byte)LabelState.Unknown || !counts[origins[i]] || (!only.IsEmpty && !only[i]))
                continue;
            places.Add(i);
            labels.Add(states[i] == (byte)LabelState.Positive ? 1 : 0);
            logQ.Add(config.LogQCorrection && origins[i] == (byte)CandidateOrigin.Sampled ? batch.LogQ[i] : 0);
        }
    }

    private static Tensor Copy<T>(List<T> values) where T : unmanaged
    {
        var copy = empty([values.Count], dtype: typeof(T) == typeof(long) ? ScalarType.Int64 : ScalarType.Float32);
        MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(values)).CopyTo(copy.bytes);
        return copy;
    }
}
