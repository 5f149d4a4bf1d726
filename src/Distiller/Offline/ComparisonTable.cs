using System.Globalization;

namespace KdServing.Distiller.Offline;

/// <summary>A comparison as a table for people.</summary>
internal static class ComparisonTable
{
    private static readonly string[] Header = ["", "seeds", "AUC", "GAUC", "log loss", "overlap@10", "calibration", "examples/s", "transfer ratio"];

    public static void Write(TextWriter output, ComparisonReport report)
    {
        List<string[]> rows = [Header];
        if (report.Teacher is { } teacher)
            rows.Add(["teacher", "", .. Metrics(teacher), "", ""]);
        if (report.LabelsOnly is { } labels)
            rows.Add([Contender.LabelsOnlyName, Text(labels.Seeds), .. Metrics(labels), Rate(labels), ""]);
        foreach (var preset in report.Presets.OrderByDescending(p => p.Auc.Mean))
        {
            var ratio = preset.Transfer is { } t ? FormattableString.Invariant($"{t.Mean:F2} [{t.Lo95:F2}, {t.Hi95:F2}]") : "undefined";
            rows.Add([preset.Name + (preset.Name == report.Chosen ? " *" : ""), Text(preset.Seeds), .. Metrics(preset), Rate(preset), ratio]);
        }
        var widths = Enumerable.Range(0, Header.Length).Select(c => rows.Max(r => r[c].Length)).ToArray();
        foreach (var row in rows)
            output.WriteLine(string.Join("  ", row.Select((cell, c) => c == 0 ? cell.PadRight(widths[c]) : cell.PadLeft(widths[c]))).TrimEnd());
        foreach (var preset in report.Presets.Where(p => p.GaucGain95 is not null))
            output.WriteLine(FormattableString.Invariant($"{preset.Name}: GAUC over labels only, 95 %: {preset.GaucGain95![0]:+0.0000;-0.0000} to {preset.GaucGain95[1]:+0.0000;-0.0000}"));
        foreach (var (name, reason) in report.Skipped)
            output.WriteLine($"{name}: left out, it {reason}");
        if (report.Chosen is not null)
            output.WriteLine($"* chosen on the inner split: {report.Chosen}");
    }

    private static string[] Metrics(ContenderSummary s) =>
        [Text(s.Auc, "F4"), Text(s.Gauc, "F4"), Text(s.Logloss, "F4"), Text(s.OverlapAt10, "F3"), Text(s.Calibration, "F3")];

    private static string Rate(StudentSummary s) => s.ExamplesPerSecond.Mean is { } rate ? rate.ToString("N0", CultureInfo.InvariantCulture) : "";

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Text(Spread spread, string format) => spread switch
    {
        { Mean: null } => "",
        { Sd: null or 0 } => spread.Mean.Value.ToString(format, CultureInfo.InvariantCulture),
        _ => $"{spread.Mean.Value.ToString(format, CultureInfo.InvariantCulture)} ± {spread.Sd.Value.ToString(format, CultureInfo.InvariantCulture)}",
    };
}
