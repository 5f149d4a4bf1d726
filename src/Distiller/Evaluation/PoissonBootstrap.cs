using KdServing.Contracts;

namespace KdServing.Distiller.Evaluation;

/// <summary>Confidence interval of a mean over sessions, built up session by session in bounded memory.</summary>
/// <remarks>
/// The online bootstrap (Chamandy et al., "Estimating uncertainty for massive data streams", 2012): a resample of a stream takes
/// each session Poisson(1) times, independently, so it needs no session twice. Weights are a function of seed, session number and
/// resample alone: the interval is the same on every machine. About a microsecond a session for 1000 resamples; 16 KB.
/// </remarks>
public sealed class PoissonBootstrap
{
    public const int Resamples = 1000;

    /// <summary>With fewer sessions the percentiles mean nothing.</summary>
    public const int MinSessions = 30;

    // Poisson(1) by inversion of 16 random bits: an error of 2^-16 in each probability.
    private static readonly byte[] Quantiles = MakeQuantiles();

    private readonly ulong seed;
    private readonly double[] sums = new double[Resamples];
    private readonly int[] counts = new int[Resamples];
    private double sum;

    public PoissonBootstrap(ulong seed) => this.seed = seed;

    public long Sessions { get; private set; }

    /// <summary>NaN before the first session.</summary>
    public double Mean => sum / Sessions;

    public void Add(double value)
    {
        var state = FeatureHash.Mix(seed ^ (ulong)Sessions);
        for (var r = 0; r < Resamples; r += 4)
        {
            // xorshift64 (Marsaglia 2003); the state is never 0.
            state |= state == 0 ? 1UL : 0;
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Its high bits are the better ones; multiply as xorshift* does, then cut into four.
            var bits = state * 0x2545F4914F6CDD1D;
            for (var k = 0; k < 4; k++, bits >>= 16)
            {
                var weight = Quantiles[(ushort)bits];
                counts[r + k] += weight;
                sums[r + k] += weight * value;
            }
        }
        sum += value;
        Sessions++;
    }

    /// <summary>The central 95 % of the resampled means; null below <see cref="MinSessions"/> sessions.</summary>
    public (double Low, double High)? Interval95()
    {
        if (Sessions < MinSessions)
            return null;
        var means = new double[Resamples];
        for (var r = 0; r < Resamples; r++)
            means[r] = sums[r] / counts[r];
        Array.Sort(means);
        return (means[Resamples * 25 / 1000 - 1], means[Resamples * 975 / 1000 - 1]);
    }

    public void Save(BinaryWriter writer)
    {
        writer.Write(Sessions);
        writer.Write(sum);
        for (var r = 0; r < Resamples; r++)
        {
            writer.Write(sums[r]);
            writer.Write(counts[r]);
        }
    }

    public void Restore(BinaryReader reader)
    {
        Sessions = reader.ReadInt64();
        sum = reader.ReadDouble();
        for (var r = 0; r < Resamples; r++)
        {
            sums[r] = reader.ReadDouble();
            counts[r] = reader.ReadInt32();
        }
    }

    private static byte[] MakeQuantiles()
    {
        var quantiles = new byte[1 << 16];
        var (next, probability, cumulative) = (0, Math.Exp(-1), 0.0);
        for (byte weight = 0; next < quantiles.Length; weight++)
        {
            cumulative += probability;
            // The last place belongs to the tail, whatever is left of it.
            var end = weight == 8 ? quantiles.Length : (int)Math.Round(cumulative * quantiles.Length);
            for (; next < end; next++)
                quantiles[next] = weight;
            probability /= weight + 1;
        }
        return quantiles;
    }
}
