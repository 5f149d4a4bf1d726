using System.Globalization;
using System.Net;
using System.Text;

namespace KdServing.LoadTests.Load;

/// <summary>Draws a load test: latency by percentile, and over time with a mark for each swap. SVG, or a page that holds it with the table.</summary>
internal static class LoadPlot
{
    private const int Width = 960;
    private const int Height = 340;
    private const int Left = 64;
    private const int Right = 150;
    private const int Top = 34;
    private const int Bottom = 40;

    // Distinguishable without colour vision (Okabe and Ito 2008).
    private static readonly string[] Colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A00", "#000000"];

    /// <summary>Both plots, one over the other; the time plot once a step.</summary>
    public static string Svg(LoadReport report)
    {
        var text = new StringBuilder();
        var count = 1 + report.Steps.Count;
        text.AppendLine(CultureInfo.InvariantCulture,
            $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {count * Height}\" width=\"{Width}\" font-family=\"system-ui,sans-serif\" font-size=\"12\">");
        text.AppendLine("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>");
        Percentiles(text, report.Steps);
        for (var s = 0; s < report.Steps.Count; s++)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"<g transform=\"translate(0,{(s + 1) * Height})\">");
            OverTime(text, report.Steps[s]);
            text.AppendLine("</g>");
        }
        return text.AppendLine("</svg>").ToString();
    }

    /// <summary>A page that needs nothing but itself.</summary>
    public static string Html(LoadReport report)
    {
        var text = new StringBuilder();
        text.AppendLine("<!doctype html><meta charset=\"utf-8\"><title>kd load</title><style>body{font:14px system-ui,sans-serif;margin:2em;max-width:1000px}"
            + "table{border-collapse:collapse}td,th{padding:.25em .7em;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}code{background:#f2f2f2;padding:.1em .3em}</style>");
        text.AppendLine(CultureInfo.InvariantCulture, $"<h1>kd load</h1><p>{report.Started:yyyy-MM-dd HH:mm:ss} UTC, <code>{Escape(report.Command)}</code></p>");
        if (report.Finding.Length > 0)
            text.AppendLine(CultureInfo.InvariantCulture, $"<p><b>{Escape(report.Finding)}</b></p>");
        text.AppendLine("<table><tr><th>step<th>requests/s<th>p50 ms<th>p90<th>p99<th>p99.9<th>max<th>swaps<th>p99 in swap<th>errors</tr>");
        foreach (var step in report.Steps)
        {
            var f = step.Figures;
            text.AppendLine(CultureInfo.InvariantCulture, $"<tr><td>{Escape(step.Name)}<td>{f.Rps:F0}<td>{f.Latency.QuantileMs(0.5):F2}<td>{f.Latency.QuantileMs(0.9):F2}<td>{f.Latency.QuantileMs(0.99):F2}"
                + $"<td>{f.Latency.QuantileMs(0.999):F2}<td>{f.Latency.MaxUs / 1000.0:F2}<td>{f.Swaps.Count}<td>{(f.DuringSwap.Count > 0 ? f.DuringSwap.QuantileMs(0.99).ToString("F2", CultureInfo.InvariantCulture) : "")}<td>{f.ErrorCount}</tr>");
        }
        return text.AppendLine("</table>").Append(Svg(report)).ToString();
    }

    // x: how many nines; y: latency, both logarithmic.
    private static void Percentiles(StringBuilder text, IReadOnlyList<StepResult> steps)
    {
        var values = steps.SelectMany(s => LoadReport.Quantiles.Select(s.Figures.Latency.QuantileMs)).Where(v => v > 0).DefaultIfEmpty(1).ToList();
        var axis = new LogAxis(values.Min(), values.Max());
        Frame(text, "Latency by percentile, from the intended send time", axis);
        for (var nines = 0; nines <= 5; nines++)
        {
            var label = nines == 0 ? "min" : nines == 1 ? "90 %" : $"99{(nines > 2 ? "." + new string('9', nines - 2) : "")} %";
            Tick(text, X(nines / 5.0), label);
        }
        Tick(text, X(Math.Log10(2) / 5), "50 %");
        for (var s = 0; s < steps.Count; s++)
        {
            var latency = steps[s].Figures.Latency;
            // A percentile finer than one request says nothing.
            var known = LoadReport.Quantiles.Select((q, k) => (K: k, Ms: latency.QuantileMs(q))).Where(p => p.Ms > 0 && Math.Pow(10, p.K / 10.0) <= latency.Count);
            Line(text, known.Select(p => (X(p.K / 50.0), axis.Y(p.Ms))), Colours[s % Colours.Length]);
            Legend(text, s, steps[s].Name, Colours[s % Colours.Length]);
        }
    }

    private static void OverTime(StringBuilder text, StepResult step)
    {
        var f = step.Figures;
        var points = f.Timeline.Where(p => p.Served > 0).ToList();
        var values = points.SelectMany(p => new[] { p.P50Ms, p.MaxMs }).Where(v => v > 0).DefaultIfEmpty(1).ToList();
        var axis = new LogAxis(values.Min(), values.Max());
        Frame(text, $"{step.Name}: latency over time" + (f.Swaps.Count > 0 ? ", shaded while a new version is swapped in" : ""), axis);
        foreach (var swap in f.Swaps)
        {
            var (from, to) = (X(Math.Clamp(swap.FromSeconds / f.Seconds, 0, 1)), X(Math.Clamp(swap.ToSeconds / f.Seconds, 0, 1)));
            text.AppendLine(CultureInfo.InvariantCulture, $"<rect x=\"{from:F1}\" y=\"{Top}\" width=\"{Math.Max(1, to - from):F1}\" height=\"{Height - Top - Bottom}\" fill=\"#F0E442\" opacity=\"0.25\"/>");
            var at = X(Math.Clamp(swap.FirstReplySeconds / f.Seconds, 0, 1));
            text.AppendLine(CultureInfo.InvariantCulture, $"<line x1=\"{at:F1}\" x2=\"{at:F1}\" y1=\"{Top}\" y2=\"{Height - Bottom}\" stroke=\"#888\" stroke-dasharray=\"3 3\"><title>version {swap.Version}</title></line>");
        }
        for (var t = 0; t <= 5; t++)
            Tick(text, X(t / 5.0), (f.Seconds * t / 5).ToString("0.#", CultureInfo.InvariantCulture) + " s");
        (string Name, Func<TimelinePoint, double> Of)[] lines = [("p50", p => p.P50Ms), ("p99", p => p.P99Ms), ("max", p => p.MaxMs)];
        for (var l = 0; l < lines.Length; l++)
        {
            Line(text, points.Select(p => (X(p.AtSeconds / f.Seconds), axis.Y(lines[l].Of(p)))), Colours[l]);
            Legend(text, l, lines[l].Name, Colours[l]);
        }
        foreach (var p in f.Timeline.Where(p => p.Errors > 0))
            text.AppendLine(CultureInfo.InvariantCulture, $"<circle cx=\"{X(p.AtSeconds / f.Seconds):F1}\" cy=\"{Height - Bottom - 4}\" r=\"3\" fill=\"#b00\"><title>{p.Errors} errors</title></circle>");
    }

    private static double X(double share) => Left + share * (Width - Left - Right);

    private static void Frame(StringBuilder text, string title, LogAxis axis)
    {
        text.AppendLine(CultureInfo.InvariantCulture, $"<text x=\"{Left}\" y=\"18\" font-size=\"14\" font-weight=\"600\">{Escape(title)}</text>");
        foreach (var ms in axis.Ticks())
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"<line x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{axis.Y(ms):F1}\" y2=\"{axis.Y(ms):F1}\" stroke=\"#e4e4e4\"/>"
                + $"<text x=\"{Left - 8}\" y=\"{axis.Y(ms) + 4:F1}\" text-anchor=\"end\">{ms:0.###} ms</text>");
        }
    }

    private static void Tick(StringBuilder text, double x, string label) => text.AppendLine(CultureInfo.InvariantCulture,
        $"<line x1=\"{x:F1}\" x2=\"{x:F1}\" y1=\"{Top}\" y2=\"{Height - Bottom}\" stroke=\"#f2f2f2\"/><text x=\"{x:F1}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{label}</text>");

    private static void Line(StringBuilder text, IEnumerable<(double X, double Y)> points, string colour)
    {
        var path = string.Join(' ', points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.X:F1},{p.Y:F1}")));
        text.AppendLine(CultureInfo.InvariantCulture, $"<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>");
    }

    private static void Legend(StringBuilder text, int row, string name, string colour) => text.AppendLine(CultureInfo.InvariantCulture,
        $"<rect x=\"{Width - Right + 12}\" y=\"{Top + row * 18}\" width=\"12\" height=\"4\" fill=\"{colour}\"/><text x=\"{Width - Right + 30}\" y=\"{Top + 6 + row * 18}\">{Escape(name)}</text>");

    private static string Escape(string text) => WebUtility.HtmlEncode(text);

    // Milliseconds on a logarithmic scale that begins and ends at a 1, 2 or 5.
    private sealed class LogAxis
    {
        private readonly double low;
        private readonly double high;

        public LogAxis(double smallest, double largest)
        {
            low = All().Last(t => t <= Math.Max(smallest, 0.001));
            high = All().First(t => t >= largest && t > low);
        }

        public double Y(double ms) =>
            Height - Bottom - (Math.Log(Math.Max(ms, low)) - Math.Log(low)) / (Math.Log(high) - Math.Log(low)) * (Height - Top - Bottom);

        public IEnumerable<double> Ticks() => All().Where(t => t >= low && t <= high);

        private static IEnumerable<double> All() =>
            Enumerable.Range(-3, 11).SelectMany(e => new[] { 1, 2, 5 }.Select(m => m * Math.Pow(10, e)));
    }
}
