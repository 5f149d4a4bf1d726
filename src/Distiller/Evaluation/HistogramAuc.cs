namespace KdServing.Distiller.Evaluation;

/// <summary>AUC over a stream of any length in bounded memory: positives and negatives counted in bins of logits.</summary>
/// <remarks>
/// Bins are 1/1024 logit wide unless told otherwise, from −32 to 32; what lies outside counts in the outermost. Pairs that share a bin count one half, so the
/// value is off by at most <see cref="ErrorBound"/> (half the share of such pairs, at most; their true order is mixed, so in
/// practice far less). A kilobyte a bin of a logit: 1 MiB.
/// </remarks>
/// <param name="binsPerLogit">Bins that a range of 1 is cut into.</param>
public sealed class HistogramAuc(int binsPerLogit = HistogramAuc.FineBins)
{
    public const int FineBins = 1024;
    private const int HalfRange = 32;

    private readonly long[] positives = new long[2 * HalfRange * binsPerLogit];
    private readonly long[] negatives = new long[2 * HalfRange * binsPerLogit];

    public long Positives { get; private set; }

    public long Negatives { get; private set; }

    /// <summary>Null without a positive or without a negative.</summary>
    public double? Value
    {
        get
        {
            if (Positives == 0 || Negatives == 0)
                return null;
            var (wins, below) = (0.0, 0L);
            for (var b = 0; b < positives.Length; b++)
            {
                wins += positives[b] * (below + negatives[b] / 2.0);
                below += negatives[b];
            }
            return wins / Positives / Negatives;
        }
    }

    /// <summary>No exact AUC of the same scores differs from <see cref="Value"/> by more.</summary>
    public double ErrorBound
    {
        get
        {
            var shared = 0.0;
            for (var b = 0; b < positives.Length; b++)
                shared += (double)positives[b] * negatives[b];
            return shared == 0 ? 0 : shared / 2 / Positives / Negatives;
        }
    }

    public void Add(float logit, bool isPositive)
    {
        var bin = Math.Clamp((int)MathF.Floor((Math.Clamp(logit, -HalfRange, HalfRange) + HalfRange) * binsPerLogit), 0, positives.Length - 1);
        if (isPositive)
        {
            positives[bin]++;
            Positives++;
        }
        else
        {
            negatives[bin]++;
            Negatives++;
        }
    }

    /// <summary>Writes the bins in use.</summary>
    public void Save(BinaryWriter writer)
    {
        foreach (var counts in (long[][])[positives, negatives])
        {
            writer.Write7BitEncodedInt(counts.Count(c => c > 0));
            var previous = 0;
            for (var b = 0; b < positives.Length; b++)
            {
                if (counts[b] == 0)
                    continue;
                writer.Write7BitEncodedInt(b - previous);
                writer.Write7BitEncodedInt64(counts[b]);
                previous = b;
            }
        }
    }

    /// <exception cref="InvalidDataException">Not written by <see cref="Save"/>.</exception>
    public void Restore(BinaryReader reader)
    {
        Positives = RestoreCounts(reader, positives);
        Negatives = RestoreCounts(reader, negatives);
    }

    private static long RestoreCounts(BinaryReader reader, long[] counts)
    {
        Array.Clear(counts);
        var (total, b) = (0L, 0);
        for (var left = reader.Read7BitEncodedInt(); left > 0; left--)
        {
            b += reader.Read7BitEncodedInt();
            if ((uint)b >= counts.Length)
                throw new InvalidDataException("a histogram of the evaluation state is damaged");
            counts[b] = reader.Read7BitEncodedInt64();
            total += counts[b];
        }
        return total;
    }
}
