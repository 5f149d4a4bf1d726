using System.Diagnostics;
using System.Globalization;
using System.Text;
using KdServing.Contracts;

namespace KdServing.Benchmarks.Slopes;

/// <summary>Times each path at each N in turn, round after round, and what the machine can do in between; medians over the rounds.</summary>
internal sealed class SlopeMeasurement(SlopeServer server, IReadOnlyList<int> sizes)
{
    // So many requests of a size take turns: their rows and vectors are not in the nearest caches.
    private const int Requests = 16;
    private const int WarmRounds = 4;

    private readonly Random random = new(1);

    public IReadOnlyList<SlopeRow> Rows { get; private set; } = [];

    public SlopeFloor Floor { get; private set; } = new(double.NaN, double.NaN);

    /// <summary>Of the path the floor is for.</summary>
    public double CatalogSlopeNs => Rows.Single(r => r.Path == SlopePath.CatalogScore).SlopeNs;

    /// <param name="done">Told the share of the work that is done.</param>
    public async Task RunAsync(int rounds, Action<double> done, CancellationToken stop)
    {
        using var peaks = new MachinePeaks((sizes[sizes.Count / 2], RandomLayers.First, RandomLayers.Second));
        var cells = SlopePath.All(server).SelectMany(path => sizes, (path, n) => new Cell(path, n)).ToArray();
        for (var round = 0; round < WarmRounds + rounds; round++)
        {
            stop.ThrowIfCancellationRequested();
            peaks.Sample();
            random.Shuffle(cells);
            foreach (var cell in cells)
            {
                var us = await cell.SampleAsync();
                if (round >= WarmRounds)
                    cell.Us.Add(us);
            }
            done((round + 1.0) / (WarmRounds + rounds));
        }
        Floor = new(peaks.SgemmGflops, peaks.ReadGBs);
        Rows = [.. SlopePath.All(server).Select(path => SlopeRow.Of(path.Name, [.. cells.Where(c => c.Path.Name == path.Name).OrderBy(c => c.N).Select(c => (c.N, Median.Of(c.Us)))]))];
    }

    /// <summary>Two Markdown tables and the verdict.</summary>
    public string Text()
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"Microseconds a request:\n\n| N | {string.Join(" | ", Rows.Select(r => r.Path))} |");
        text.AppendLine(string.Concat(Enumerable.Repeat("|---", Rows.Count + 1)) + "|");
        for (var i = 0; i < sizes.Count; i++)
            text.AppendLine(CultureInfo.InvariantCulture, $"| {sizes[i]:N0} | {string.Join(" | ", Rows.Select(r => r.Us[i].ToString("0.0", CultureInfo.InvariantCulture)))} |");
        text.AppendLine("\n| path | slope, ns a candidate | intercept, µs | R² |\n|---|---|---|---|");
        foreach (var row in Rows)
            text.AppendLine(CultureInfo.InvariantCulture, $"| {row.Path} | {row.SlopeNs:0} | {row.InterceptUs:0.0} | {row.R2:0.00000} |");
        return text.Append('\n').Append(Floor.Verdict(CatalogSlopeNs)).ToString();
    }

    private sealed class Cell(SlopePath path, int n)
    {
        private readonly RankRequest[] requests = [.. Enumerable.Range(0, Requests).Select(r => path.Request(n, r))];

        public SlopePath Path { get; } = path;

        public int N { get; } = n;

        public List<double> Us { get; } = [];

        public async Task<double> SampleAsync()
        {
            var started = Stopwatch.GetTimestamp();
            foreach (var request in requests)
                await Path.Send(request);
            return Stopwatch.GetElapsedTime(started).TotalMicroseconds / Requests;
        }
    }
}

/// <summary>One path: microseconds a request at each size, and the line through them.</summary>
internal sealed record SlopeRow(string Path, IReadOnlyList<int> N, IReadOnlyList<double> Us, double SlopeNs, double InterceptUs, double R2)
{
    public static SlopeRow Of(string path, IReadOnlyList<(int N, double Us)> points)
    {
        var line = Line.Through([.. points.Select(p => ((double)p.N, p.Us))]);
        return new(path, [.. points.Select(p => p.N)], [.. points.Select(p => p.Us)], line.Slope * 1000, line.Intercept, line.R2);
    }
}
