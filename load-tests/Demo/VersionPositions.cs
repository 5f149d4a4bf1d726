using KdServing.Contracts;

namespace KdServing.LoadTests.Demo;

/// <summary>How far in the stream each version has learned; noted while the version is in the repository, which keeps only the newest ones.</summary>
internal sealed class VersionPositions(ModelRepository repository, string model)
{
    private readonly string stream = (string)new StreamKeys(model).Logits!;
    private readonly Dictionary<long, StreamId> positions = [];
    private long newest;

    /// <summary>The last entry a version has learned from; null when it is not known.</summary>
    public StreamId? this[long version] => positions.TryGetValue(version, out var position) ? position : null;

    /// <summary>Notes the versions published since the last call.</summary>
    public void Update()
    {
        foreach (var version in repository.Versions(model).Where(v => v > newest))
        {
            newest = version;
            if (repository.TryManifest(model, version)?.Position.GetValueOrDefault(stream) is { } position)
                positions[version] = StreamId.Parse(position);
        }
    }
}
