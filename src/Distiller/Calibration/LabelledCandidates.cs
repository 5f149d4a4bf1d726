using KdServing.Contracts;

namespace KdServing.Distiller.Calibration;

/// <summary>What the labels of one record say of its candidates' logits, by the rules of <c>hard_label</c>; all spans [N].</summary>
/// <param name="states"><see cref="LabelState"/> each.</param>
/// <param name="origins"><see cref="CandidateOrigin"/> each.</param>
/// <param name="logQ">Log of the sampling probability, 0 when exposed.</param>
/// <param name="rules">Whose labels count, and how a sampled one's logit is corrected.</param>
internal readonly ref struct LabelledCandidates(ReadOnlySpan<byte> states, ReadOnlySpan<byte> origins, ReadOnlySpan<float> logQ, LabelRules rules)
{
    private readonly ReadOnlySpan<byte> states = states;
    private readonly ReadOnlySpan<byte> origins = origins;
    private readonly ReadOnlySpan<float> logQ = logQ;

    /// <summary>Slope of the mean log loss on the way from a correction's matched map to its plain one, where it stands; null: no label counts.</summary>
    public double? Slope(ReadOnlySpan<float> logits, Correction correction)
    {
        var (map, sum, count) = (correction.Map, 0.0, 0);
        for (var i = 0; i < logits.Length; i++)
        {
            if (states[i] == (byte)LabelState.Unknown || !rules.Counts(origins[i]))
                continue;
            var z = map.Of(logits[i]) - (rules.CorrectLogQ ? logQ[i] : 0);
            var error = 1 / (1 + Math.Exp(-z)) - (states[i] == (byte)LabelState.Positive ? 1 : 0);
            sum += error * (correction.Plain.Of(logits[i]) - correction.Matched.Of(logits[i]));
            count++;
        }
        return count == 0 ? null : sum / count;
    }
}

/// <summary>Which labels count, and how; as <c>hard_label</c> says.</summary>
internal sealed record LabelRules(bool Exposed, bool Sampled, bool CorrectLogQ)
{
    public bool Counts(byte origin) => (origin == (byte)CandidateOrigin.Exposed && Exposed) || (origin == (byte)CandidateOrigin.Sampled && Sampled);
}
