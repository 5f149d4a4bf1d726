using System.Text;
using KdServing.Contracts;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Calibration;

/// <summary>Takes the jumps between versions of a teacher out of its logits, before any loss sees them. Part of the checkpoint; one thread.</summary>
/// <remarks>
/// The first version of a teacher is the reference. A later one is taken as the one before, unless mean or spread of its logits jump: then by
/// the affine map that keeps both. Labels decide, slowly, how much of a jump was true. Why, and what it can not see: ADR 19.
/// </remarks>
public sealed class TeacherCalibration
{
    private const int StateFormat = 1;

    private readonly TeacherCalibrationConfig config;
    private readonly IReadOnlyList<string> targets;
    private readonly LabelRules rules;
    private readonly SortedDictionary<(string Teacher, string Target), TeacherScale> scales =
        new(Comparer<(string Teacher, string Target)>.Create((a, b) => string.CompareOrdinal(a.Teacher, b.Teacher) is var order and not 0 ? order : string.CompareOrdinal(a.Target, b.Target)));

    public TeacherCalibration(TeacherCalibrationConfig config, HardLabelConfig labels, IReadOnlyList<string> targets)
    {
        (this.config, this.targets) = (config, targets);
        rules = new(labels.Origins.Contains("exposed"), labels.Origins.Contains("sampled"), labels.LogQCorrection);
    }

    /// <summary>Replaces the batch's soft labels by what is to be learned from them. Once a batch.</summary>
    public void Apply(FeatureBatch batch)
    {
        foreach (var said in Said(batch))
            Scale(said.Teacher, said.Target).Observe(said.Version, batch.SoftLabelsOf(said.Source, said.Record), batch.OriginsOf(said.Record));
        foreach (var scale in scales.Values)
            scale.Fit();
        foreach (var said in Said(batch))
        {
            var scale = Scale(said.Teacher, said.Target);
            var logits = batch.SoftLabelsOf(said.Source, said.Record);
            var origins = batch.OriginsOf(said.Record);
            scale.Judge(said.Version, logits, new(batch.LabelsOf(Target(said.Target), said.Record), origins, batch.LogQOf(said.Record), rules));
            scale.Learn(said.Version, logits, origins);
        }
        Map(batch);
        foreach (var scale in scales.Values)
            scale.HandOn();
    }

    /// <summary>Notes labels that came after their record was learned.</summary>
    /// <param name="logits">As the stream brought them.</param>
    public void Judge(string teacher, long version, string target, ReadOnlySpan<float> logits, TeacherRecord labelled)
    {
        if (scales.TryGetValue((teacher, target), out var scale) && labelled.Labels.FirstOrDefault(l => l.Target == target) is { } labels)
            scale.Judge(version, logits, new(labels.States.Span, labelled.Origin.Span, labelled.SamplingLogQ.ToArray(), rules));
    }

    /// <summary>The versions that are remembered, oldest first, as they are taken now.</summary>
    public IReadOnlyList<TakenVersion> Report() => [.. scales.SelectMany(s => s.Value.Versions.Select(v => new TakenVersion(s.Key.Teacher, v.Version, s.Key.Target, v.Records,
        s.Value.Map(v.Version), v.Correction.HandedOn, v.Own.Records > 0 ? v.Own.Mean : null, v.Own.Records > 0 ? v.Own.Spread : null)))];

    /// <summary>Everything needed to go on after a restart; some hundred bytes a teacher and target.</summary>
    public byte[] Save()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        writer.Write(StateFormat);
        writer.Write(scales.Count);
        foreach (var ((teacher, target), scale) in scales)
        {
            writer.Write(teacher);
            writer.Write(target);
            scale.Save(writer);
        }
        writer.Flush();
        return stream.ToArray();
    }

    /// <exception cref="ContractException">The state is damaged or of another release.</exception>
    public void Restore(byte[] state)
    {
        scales.Clear();
        try
        {
            using var reader = new BinaryReader(new MemoryStream(state), Encoding.UTF8);
            if (reader.ReadInt32() is var format && format != StateFormat)
                throw new ContractException("teacher_calibration", $"state has format {format}; this build reads {StateFormat}");
            for (var left = reader.ReadInt32(); left > 0; left--)
                Scale(reader.ReadString(), reader.ReadString()).Restore(reader);
        }
        catch (EndOfStreamException)
        {
            throw new ContractException("teacher_calibration", "state is cut short");
        }
    }

    private void Map(FeatureBatch batch)
    {
        for (var s = 0; s < batch.Sources.Count; s++)
        {
            for (var u = 0; u < batch.Records; u++)
            {
                if (batch.Teachers(s)[u] is { } teacher && Scale(teacher, batch.Sources[s].Target).Map(batch.TeacherVersions(s)[u]) is var map && map != LogitMap.Identity)
                {
                    foreach (ref var logit in batch.SoftLabelsOf(s, u))
                        logit = (float)map.Of(logit);
                }
            }
        }
    }

    // What each teacher said of each record and target, once, through whichever sources it is read.
    private static IEnumerable<(int Source, int Record, string Teacher, long Version, string Target)> Said(FeatureBatch batch)
    {
        for (var u = 0; u < batch.Records; u++)
        {
            for (var s = 0; s < batch.Sources.Count; s++)
            {
                if (batch.Teachers(s)[u] is { } teacher && !IsSaidBefore(batch, s, u, teacher))
                    yield return (s, u, teacher, batch.TeacherVersions(s)[u], batch.Sources[s].Target);
            }
        }
    }

    private static bool IsSaidBefore(FeatureBatch batch, int source, int record, string teacher)
    {
        for (var s = 0; s < source; s++)
        {
            if (batch.Teachers(s)[record] == teacher && batch.Sources[s].Target == batch.Sources[source].Target)
                return true;
        }
        return false;
    }

    private int Target(string name)
    {
        for (var t = 0; t < targets.Count; t++)
        {
            if (targets[t] == name)
                return t;
        }
        throw new ArgumentException($"no target is called '{name}'", nameof(name));
    }

    private TeacherScale Scale(string teacher, string target) => scales.TryGetValue((teacher, target), out var found)
        ? found
        : scales[(teacher, target)] = new($"teacher {teacher}, {target}", config);
}

/// <summary>How the logits of one version of a teacher are learned.</summary>
/// <param name="Records">Records it scored, of those that are learned.</param>
/// <param name="HandedOn">Share of the last jump that labels have borne out.</param>
/// <param name="MeanLogit">As the stream brought them, over the version's first records; null before the first.</param>
/// <param name="Spread">Their standard deviation.</param>
public sealed record TakenVersion(string Teacher, long Version, string Target, long Records, LogitMap Map, double HandedOn, double? MeanLogit, double? Spread);
