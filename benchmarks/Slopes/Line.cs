namespace KdServing.Benchmarks.Slopes;

/// <summary>A straight line through points by least squares.</summary>
/// <param name="R2">Share of the points' variance that the line explains.</param>
internal readonly record struct Line(double Slope, double Intercept, double R2)
{
    public static Line Through(IReadOnlyList<(double X, double Y)> points)
    {
        var (meanX, meanY) = (points.Average(p => p.X), points.Average(p => p.Y));
        var slope = points.Sum(p => (p.X - meanX) * (p.Y - meanY)) / points.Sum(p => (p.X - meanX) * (p.X - meanX));
        var intercept = meanY - slope * meanX;
        var left = points.Sum(p => Math.Pow(p.Y - intercept - slope * p.X, 2));
        return new(slope, intercept, 1 - left / points.Sum(p => Math.Pow(p.Y - meanY, 2)));
    }
}
