using KdServing.Contracts;

namespace KdServing.Datasets;

/// <summary>Mean per-impression AUC (GAUC) over the impressions that hold both labels; ties count one half.</summary>
public sealed class GroupedAuc
{
    private double _sum;

    /// <summary>Impressions counted.</summary>
    public long Count { get; private set; }

    public double Mean => Count == 0 ? double.NaN : _sum / Count;

    /// <param name="scores">One a candidate.</param>
    /// <param name="states">One <see cref="LabelState"/> a candidate; unknown ones do not count.</param>
    public void Add(ReadOnlySpan<float> scores, ReadOnlySpan<byte> states)
    {
        long pairs = 0;
        double wins = 0;
        for (var p = 0; p < scores.Length; p++)
        {
            if (states[p] != (byte)LabelState.Positive)
                continue;
            for (var n = 0; n < scores.Length; n++)
            {
                if (states[n] != (byte)LabelState.Negative)
                    continue;
                pairs++;
                wins += scores[p] > scores[n] ? 1 : scores[p] == scores[n] ? 0.5 : 0;
            }
        }

        if (pairs == 0)
            return;
        _sum += wins / pairs;
        Count++;
    }
}
