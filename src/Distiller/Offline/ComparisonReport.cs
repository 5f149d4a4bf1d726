using System.Text.Json.Serialization;
using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Offline;

/// <summary>Metrics of one contender over its seeds.</summary>
public record ContenderSummary
{
    public ContenderSummary(IReadOnlyList<OfflineMetrics> metrics)
    {
        Auc = Spread.Of(metrics.Select(m => m.Auc));
        Gauc = Spread.Of(metrics.Select(m => m.Gauc));
        Logloss = Spread.Of(metrics.Select(m => m.Logloss));
        OverlapAt10 = Spread.Of(metrics.Select(m => m.OverlapAt10));
        Calibration = Spread.Of(metrics.Select(m => m.Calibration));
    }

    public Spread Auc { get; }

    public Spread Gauc { get; }

    public Spread Logloss { get; }

    [JsonPropertyName("overlap_at_10")]
    public Spread OverlapAt10 { get; }

    public Spread Calibration { get; }
}

/// <summary>A student's metrics over its seeds.</summary>
public record StudentSummary : ContenderSummary
{
    public StudentSummary(IReadOnlyList<StudentRun> runs) : base([.. runs.Select(r => r.Valid)])
    {
        Seeds = runs.Count;
        ExamplesPerSecond = Spread.Of(runs.Select(r => (double?)r.ExamplesPerSecond));
        Epochs = Spread.Of(runs.Select(r => (double?)r.Epochs));
        InnerAuc = Spread.Of(runs.Select(r => r.Inner.Auc));
    }

    public int Seeds { get; }

    public Spread ExamplesPerSecond { get; }

    public Spread Epochs { get; }

    /// <summary>On the inner split; what chooses.</summary>
    public Spread InnerAuc { get; }
}

/// <summary>One preset beside the student that learned from labels only.</summary>
public sealed record PresetSummary : StudentSummary
{
    public PresetSummary(string name, IReadOnlyList<StudentRun> runs, IReadOnlyList<StudentRun> labelsOnly, OfflineMetrics? teacher) : base(runs)
    {
        Name = name;
        var twins = labelsOnly.ToDictionary(r => r.Seed);
        var paired = runs.Where(r => twins.ContainsKey(r.Seed) && r.Valid.Auc is not null).Select(r => (r, twins[r.Seed])).ToList();
        if (teacher?.Auc is { } teacherAuc)
            Transfer = PairedMean.TransferRatio(teacherAuc, [.. paired.Select(p => (p.r.Valid.Auc!.Value, p.Item2.Valid.Auc!.Value))]);
        AucGain = PairedMean.Of([.. paired.Select(p => p.r.Valid.Auc!.Value - p.Item2.Valid.Auc!.Value)]);
        GaucGain95 = SessionInterval(paired);
    }

    public string Name { get; }

    [JsonIgnore]
    public PairedMean? Transfer { get; }

    /// <summary>Its mean and interval, or the text <c>undefined</c>.</summary>
    public object TransferRatio => Transfer is null ? "undefined" : Transfer;

    /// <summary>AUC over labels only, paired by seed; null with fewer than two seeds.</summary>
    public PairedMean? AucGain { get; }

    /// <summary>Progressive runs: 95 % interval of the GAUC gained over labels only, by paired bootstrap over records (first seed); else null.</summary>
    [JsonPropertyName("gauc_gain_95")]
    public double[]? GaucGain95 { get; }

    private static double[]? SessionInterval(List<(StudentRun Run, StudentRun Twin)> paired)
    {
        if (paired.Count == 0 || paired[0] is not ({ SessionAuc: { } ours }, { SessionAuc: { } theirs }) || ours.Length != theirs.Length)
            return null;
        var bootstrap = new PoissonBootstrap(1);
        for (var i = 0; i < ours.Length; i++)
        {
            if (!float.IsNaN(ours[i]) && !float.IsNaN(theirs[i]))
                bootstrap.Add(ours[i] - theirs[i]);
        }
        return bootstrap.Interval95() is var (low, high) ? [low, high] : null;
    }
}

/// <summary>What <c>distill compare</c> found; its JSON is the <c>--json</c> file.</summary>
/// <param name="LabelsOnly">Null when <c>hard_label.weight</c> is 0.</param>
/// <param name="Chosen">The preset with the best mean AUC on the inner split; null before any has run.</param>
/// <param name="Skipped">Presets that this data can not train, and why.</param>
public sealed record ComparisonReport(string Data, ContenderSummary? Teacher, StudentSummary? LabelsOnly, IReadOnlyList<PresetSummary> Presets,
    string? Chosen, IReadOnlyDictionary<string, string> Skipped)
{
    public static ComparisonReport Of(string data, OfflineMetrics? teacher, IReadOnlyList<StudentRun> runs, IReadOnlyDictionary<string, string> skipped)
    {
        var labelsOnly = runs.Where(r => r.Name == Contender.LabelsOnlyName).ToList();
        var presets = runs.Where(r => r.Name != Contender.LabelsOnlyName).GroupBy(r => r.Name)
            .Select(g => new PresetSummary(g.Key, [.. g], labelsOnly, teacher)).ToList();
        // One teacher for all seeds: its spread over them is 0.
        return new(data, teacher is null ? null : new([teacher, teacher]), labelsOnly.Count == 0 ? null : new(labelsOnly), presets,
            presets.MaxBy(p => p.InnerAuc.Mean ?? double.MinValue)?.Name, skipped);
    }
}
