namespace KdServing.Distiller.Offline;

/// <summary>Mean and sample standard deviation over seeds; both null when nothing was measured, the deviation also of a single value.</summary>
public sealed record Spread(double? Mean, double? Sd)
{
    public static Spread Of(IEnumerable<double?> values)
    {
        var known = values.Where(v => v is { } x && double.IsFinite(x)).Select(v => v!.Value).ToList();
        if (known.Count == 0)
            return new(null, null);
        var mean = known.Average();
        return new(mean, known.Count == 1 ? null : Math.Sqrt(known.Sum(v => (v - mean) * (v - mean)) / (known.Count - 1)));
    }
}

/// <summary>Mean over paired seeds with its central 95 % interval (Student's t).</summary>
public sealed record PairedMean(double Mean, double Lo95, double Hi95)
{
    // Quantile 0.975 of Student's t for 1 to 30 degrees of freedom (Abramowitz, Stegun, table 26.10); beyond, that of 30: a little wide.
    private static readonly double[] Quantile975 =
    [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];

    /// <returns>Null with fewer than two values.</returns>
    public static PairedMean? Of(IReadOnlyList<double> values)
    {
        if (values.Count < 2)
            return null;
        var spread = Spread.Of(values.Select(v => (double?)v));
        var half = Quantile975[Math.Min(values.Count - 1, Quantile975.Length) - 1] * spread.Sd!.Value / Math.Sqrt(values.Count);
        return new(spread.Mean!.Value, spread.Mean.Value - half, spread.Mean.Value + half);
    }

    /// <summary>
    /// (student with teacher − labels only) / (teacher − labels only) by AUC, seed by seed (kd-reference §8.2): the share of the
    /// teacher's advantage that the student got.
    /// </summary>
    /// <param name="pairs">(with teacher, labels only) of each seed.</param>
    /// <returns>Null, to be called undefined, when the mean gap is under three standard errors, or there are fewer than two seeds.</returns>
    public static PairedMean? TransferRatio(double teacher, IReadOnlyList<(double WithTeacher, double LabelsOnly)> pairs)
    {
        var gap = Spread.Of(pairs.Select(p => (double?)(teacher - p.LabelsOnly)));
        if (gap is not { Mean: { } mean, Sd: { } sd } || !(mean > 3 * sd / Math.Sqrt(pairs.Count)))
            return null;
        return Of([.. pairs.Select(p => (p.WithTeacher - p.LabelsOnly) / (teacher - p.LabelsOnly))]);
    }
}
