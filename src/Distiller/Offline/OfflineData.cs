using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.Distiller.Offline;

/// <summary>An impression to learn from or to be judged on.</summary>
/// <param name="Record">As a teacher would have streamed it; soft labels are its outputs.</param>
/// <param name="Group">Impressions of one group (session, or user and context) never stand on two sides of a split.</param>
public sealed record OfflineImpression(TeacherRecord Record, ulong Group);

/// <summary>A described dataset in memory, cut into what is learned, the inner split that decides, and what is only reported on.</summary>
/// <remarks>
/// The inner split is a function of the groups and a seed. Everything that is chosen (when to stop, which preset) is chosen on it;
/// the validation part is scored once, with what was chosen.
/// </remarks>
public sealed class OfflineData
{
    private const int LastTenth = 10;

    private OfflineData(string name, IReadOnlyList<OfflineImpression> train, IReadOnlyList<OfflineImpression> inner,
        IReadOnlyList<OfflineImpression> valid) => (Name, Train, Inner, Valid) = (name, train, inner, valid);

    public string Name { get; }

    public IReadOnlyList<OfflineImpression> Train { get; }

    /// <summary>A share of the training part that nobody learns from.</summary>
    public IReadOnlyList<OfflineImpression> Inner { get; }

    /// <summary>The dataset's validation part; the last tenth in event order if it has none.</summary>
    public IReadOnlyList<OfflineImpression> Valid { get; }

    /// <param name="config">How large the inner split is, and how many impressions are taken.</param>
    /// <param name="progress">Called now and then with the number of impressions read.</param>
    /// <exception cref="ContractException">A part is empty, or a label is not of the schema.</exception>
    public static OfflineData Read(DatasetReader reader, FeatureSchema schema, OfflineConfig config, ulong seed,
        Action<int> progress, CancellationToken cancellation)
    {
        var read = new List<OfflineImpression>();
        var valid = new List<OfflineImpression>();
        foreach (var impression in reader.Read(DatasetPart.Preparation, DatasetPart.Validation))
        {
            cancellation.ThrowIfCancellationRequested();
            (impression.Part == DatasetPart.Validation ? valid : read).Add(new(
                impression.ToTeacherRecord("offline", (ulong)(read.Count + valid.Count + 1), schema.Fingerprint), (ulong)impression.SessionId));
            if ((read.Count + valid.Count) % 1024 == 0)
                progress(read.Count + valid.Count);
        }
        if (config.MaxImpressions > 0 && read.Count > config.MaxImpressions)
            read.RemoveRange(0, read.Count - config.MaxImpressions);
        if (valid.Count == 0)
        {
            var tenth = read.Count / LastTenth;
            valid.AddRange(read[^tenth..]);
            read.RemoveRange(read.Count - tenth, tenth);
        }
        var inner = read.Where(i => IsInner(i.Group, config.InnerShare, seed)).ToList();
        var train = read.Where(i => !IsInner(i.Group, config.InnerShare, seed)).ToList();
        if (train.Count == 0 || inner.Count == 0 || valid.Count == 0)
            throw new ContractException("--data", $"'{reader.Name}' has {train.Count} impressions to learn, {inner.Count} in the inner split and {valid.Count} to validate on; all three must be above 0");
        return new(reader.Name, train, inner, valid);
    }

    private static bool IsInner(ulong group, double share, ulong seed) =>
        FeatureHash.Mix(group ^ FeatureHash.Mix(seed ^ 0x696E6E6572)) < share * ulong.MaxValue;
}
