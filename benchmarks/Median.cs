namespace KdServing.Benchmarks;

internal static class Median
{
    /// <summary>The upper one of two in the middle.</summary>
    public static double Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }
}
