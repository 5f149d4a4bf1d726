using System.Globalization;
using KdServing.Contracts;

namespace KdServing.Serving.Control.Commands;

/// <summary>Versions as lines of text.</summary>
internal static class VersionText
{
    private const int ShownWeights = 12;

    public static void WriteHeader(TextWriter output, bool withModel) =>
        output.WriteLine($"{(withModel ? $"{"MODEL",-20} " : "")}{"VERSION",8} {"KIND",-7} {"BASE",8} {"CREATED (UTC)",-20} {"RECORDS",12} {"GAUC",7} {"MB",9}  STATE");

    /// <param name="model">Null: a list of one model.</param>
    public static void WriteRow(TextWriter output, string? model, VersionSummary summary)
    {
        var known = summary.CreatedAtMs != 0;
        var state = summary.Problem.Length > 0 ? $"{(summary.Role is "" or "present" ? "" : $"{summary.Role}; ")}{summary.Problem}" : summary.Role == "present" ? "" : summary.Role;
        if (summary.Answered > 0)
            state += $" ({Text(summary.Answered)} requests{(summary.Failed == 0 ? "" : $", {Text(summary.Failed)} failed")})";
        output.WriteLine(($"{(model is null ? "" : $"{model,-20} ")}{Text(summary.Version),8} {summary.Kind,-7} {(known ? Text(summary.BaseVersion) : ""),8} "
            + $"{(known ? Time(summary.CreatedAtMs) : ""),-20} {(known ? Text(summary.RecordsLearned) : ""),12} "
            + $"{(summary.Metrics.TryGetValue("gauc", out var gauc) ? Text(gauc, "0.0000") : ""),7} {(known ? Text(summary.Bytes / 1e6, "0.00") : ""),9}  {state}").TrimEnd());
    }

    /// <param name="rows">The chain its rows rest on.</param>
    public static void WriteManifest(TextWriter output, VersionManifest manifest, IEnumerable<long> rows)
    {
        var signature = manifest.Signature;
        output.WriteLine($"{manifest.Model} version {manifest.Version}, a {(manifest.Kind == VersionKind.Base ? "base" : "delta")} of {Time(manifest.CreatedAtMs)} UTC");
        output.WriteLine($"  schema       {manifest.SchemaFingerprint}");
        output.WriteLine($"  student      {signature.Family}: user {signature.UserWidth} → {signature.UserPartWidth}, item {signature.ItemWidth} → {signature.ItemVectorWidth}, live {signature.LiveWidth}, targets {string.Join(", ", signature.Targets)}");
        output.WriteLine($"  rows         {string.Join(" + ", rows.Select(v => Text(v)))}");
        output.WriteLine($"  learned      {Text(manifest.RecordsLearned)} records, event time up to {Time(manifest.WatermarkMs)} UTC");
        foreach (var (key, id) in manifest.Position)
            output.WriteLine($"  position     {key} {id}");
        foreach (var (teacher, version) in manifest.TeacherVersions)
            output.WriteLine($"  teacher      {teacher} version {Text(version)}");
        foreach (var learned in manifest.Teachers ?? [])
            WriteTeacher(output, learned);
        foreach (var (metric, value) in manifest.Metrics)
            output.WriteLine($"  metric       {metric} {Text(value, "G6")}");
    }

    private static void WriteTeacher(TextWriter output, LearnedTeacher learned)
    {
        foreach (var (target, map) in learned.Maps)
        {
            output.WriteLine($"    version {Text(learned.Version)}, {target}: {Text(learned.Records)} records, learned as "
                + (map is { Scale: 1, Bias: 0 } ? "it was" : $"{Text(map.Scale, "0.0###")} · logit {Text(map.Bias, "+ 0.0###;- 0.0###")}, {Text(map.HandedOn, "0 %")} of the jump handed on"));
        }
        if (learned.Metrics.Count > 0)
            output.WriteLine($"      {string.Join(", ", learned.Metrics.Select(m => $"{m.Key} {Text(m.Value, "G4")}"))}");
    }

    public static void WriteDifference(TextWriter output, VersionDifference difference)
    {
        output.WriteLine($"from version {difference.From} to version {difference.To}");
        foreach (var field in difference.Fields)
            output.WriteLine($"  {field.Name,-32} {field.From} → {field.To}");
        foreach (var metric in difference.Metrics)
            output.WriteLine($"  metric {metric.Name,-25} {Text(metric.From, "G6")} → {Text(metric.To, "G6")} ({Text(metric.To - metric.From, "+0.######;-0.######;0")})");
        output.WriteLine($"  rows written                     {(difference.ChangedRows < 0 ? "all: they rest on different bases" : Text(difference.ChangedRows))}");
        foreach (var weight in difference.Weights.OrderByDescending(w => w.RelativeChange).Take(ShownWeights))
            output.WriteLine($"  weights {weight.File} {weight.Tensor} [{Text(weight.Elements)}]: {Text(weight.RelativeChange, "0.0000%")} of their norm, at most {Text(weight.MaxChange, "G3")}");
        if (difference.Weights.Count > ShownWeights)
            output.WriteLine($"  … and {difference.Weights.Count - ShownWeights} tensors that changed less");
    }

    public static string Time(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    public static string Text(IFormattable value, string? format = null) => value.ToString(format, CultureInfo.InvariantCulture);
}
