using KdServing.Contracts;

namespace KdServing.Distiller.Calibration;

/// <summary>The versions of one teacher for one target, and the scale on which its logits are learned.</summary>
/// <param name="name">Teacher and target, for people.</param>
internal sealed class TeacherScale(string name, TeacherCalibrationConfig config)
{
    // In order of arrival; a version that comes again after it was forgotten counts as new.
    private readonly List<VersionScale> versions = [];

    private LearnedLogits learned;

    public IReadOnlyList<VersionScale> Versions => versions;

    /// <summary>Notes what a version said of one record, before <see cref="Fit"/>.</summary>
    public void Observe(long version, ReadOnlySpan<float> logits, ReadOnlySpan<byte> origins)
    {
        var scale = Find(version);
        if (scale is null)
        {
            scale = new(version, learned, versions.Count == 0 ? Correction.None : versions[^1].Correction);
            versions.Add(scale);
            if (versions.Count > config.VersionsKept)
                versions.RemoveAt(0);
        }
        if (Moments(logits, origins) is var (mean, square))
            scale.Observe(mean, square, config.WindowRecords);
    }

    /// <summary>Fits the maps of all versions to what was noted.</summary>
    public void Fit()
    {
        foreach (var scale in versions)
        {
            if (scale.Fit(config))
                Announce(scale);
        }
    }

    /// <summary>How a version's logits are learned.</summary>
    public LogitMap Map(long version) => config.Enabled ? Find(version)?.Map ?? LogitMap.Identity : LogitMap.Identity;

    /// <summary>Notes the logits of one record as they are learned, after <see cref="Fit"/>.</summary>
    public void Learn(long version, ReadOnlySpan<float> logits, ReadOnlySpan<byte> origins)
    {
        if (Moments(logits, origins) is not var (mean, square))
            return;
        var (scale, bias) = Map(version);
        learned = learned.With(scale * mean + bias, scale * scale * square + 2 * scale * bias * mean + bias * bias, config);
    }

    /// <summary>Notes what labels say of a version's jump, if they have something to judge.</summary>
    public void Judge(long version, ReadOnlySpan<float> logits, in LabelledCandidates labels)
    {
        if (Find(version) is { Correction.IsOpen: true } scale && labels.Slope(logits, scale.Correction) is { } slope)
            scale.Judge(slope, config.WindowRecords);
    }

    /// <summary>Lets the labels move the maps; after everything of a batch was noted.</summary>
    public void HandOn()
    {
        foreach (var scale in versions)
            scale.HandOn(config.GlideRecords);
    }

    public void Save(BinaryWriter writer)
    {
        learned.Save(writer);
        writer.Write(versions.Count);
        foreach (var scale in versions)
            scale.Save(writer);
    }

    public void Restore(BinaryReader reader)
    {
        learned = LearnedLogits.Restore(reader);
        versions.Clear();
        for (var left = reader.ReadInt32(); left > 0; left--)
            versions.Add(VersionScale.Restore(reader));
    }

    private VersionScale? Find(long version)
    {
        for (var v = versions.Count - 1; v >= 0; v--)
        {
            if (versions[v].Version == version)
                return versions[v];
        }
        return null;
    }

    private void Announce(VersionScale scale)
    {
        var (before, own, map) = (scale.Before.Moments, scale.Own, scale.Map);
        DistillerLog.WarnSometimes($"jump {name}", FormattableString.Invariant($"{name}: version {scale.Version} speaks on another scale, after {own.Records:0} records mean {own.Mean:0.###} and spread ")
            + FormattableString.Invariant($"{own.Spread:0.###}, learned so far {before.Mean:0.###} and {before.Spread:0.###}; ")
            + (config.Enabled ? FormattableString.Invariant($"taken as {map.Scale:0.####} · logit {map.Bias:+ 0.####;- 0.####}") : "teacher_calibration.enabled is false: the scores will follow"));
    }

    // Probes are no traffic: which candidates they are is somebody's whim.
    private static (double Mean, double Square)? Moments(ReadOnlySpan<float> logits, ReadOnlySpan<byte> origins)
    {
        var (sum, squares, count) = (0.0, 0.0, 0);
        for (var i = 0; i < logits.Length; i++)
        {
            if (origins[i] is not ((byte)CandidateOrigin.Exposed or (byte)CandidateOrigin.Sampled))
                continue;
            sum += logits[i];
            squares += (double)logits[i] * logits[i];
            count++;
        }
        return count == 0 ? null : (sum / count, squares / count);
    }
}
