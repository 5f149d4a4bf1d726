using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;

namespace KdServing.Distiller.Training;

/// <summary>Published versions that are still compared with: the newest, the one live in Serving, the frozen one. One thread.</summary>
public sealed class PublishedStudents : IDisposable
{
    private readonly SortedDictionary<long, FrozenStudent> versions = [];

    /// <summary>The incumbent of the promotion gate.</summary>
    public FrozenStudent? Newest => versions.Count == 0 ? null : versions[versions.Keys.Last()];

    /// <summary>What Serving ranks with; the newest while no server has said.</summary>
    public FrozenStudent? Live { get; private set; }

    /// <summary>The version that was live when <see cref="Freeze"/> was called.</summary>
    public FrozenStudent? Frozen { get; private set; }

    public void Add(FrozenStudent student) => versions.Add(student.Version, student);

    /// <summary>A version that can be scored with.</summary>
    public bool Knows(long version) => versions.ContainsKey(version);

    /// <summary>Notes which version servers rank with; one from before this process knew any changes nothing: it can not be scored with.</summary>
    public void SetLive(long version)
    {
        if (versions.TryGetValue(version, out var student))
            Live = student;
    }

    /// <summary>From now on the live version is compared with as <c>student_frozen</c>. False while none is live.</summary>
    public bool Freeze()
    {
        Frozen ??= Live;
        return Frozen is not null;
    }

    /// <summary>Continues with the versions that a checkpoint compares with, as far as they can be had.</summary>
    public void Restore(CheckpointManifest manifest, PublishedWeights weights, ModelRepository repository, string model)
    {
        var oldest = manifest.LiveVersion == 0 ? manifest.Publication.NewestVersion : manifest.LiveVersion;
        var wanted = repository.Versions(model).Where(v => v >= oldest && v <= manifest.Publication.NewestVersion);
        foreach (var version in wanted.Concat(manifest.FrozenVersion > 0 ? [manifest.FrozenVersion] : []).Distinct())
        {
            if (weights.Load(version, DistillerLog.Warn) is { } student)
                Add(student);
        }
        SetLive(manifest.LiveVersion);
        if (Knows(manifest.FrozenVersion))
            RestoreFrozen(manifest.FrozenVersion);
    }

    /// <summary>Continues with the version frozen by the run before, which must have been added.</summary>
    public void RestoreFrozen(long version) => Frozen = versions[version];

    /// <summary>Frees versions that nothing will compare with again. Not while another thread scores with one.</summary>
    public void Prune()
    {
        if (Newest is null)
            return;
        var oldest = Live?.Version ?? 0;
        foreach (var version in versions.Keys.Where(v => v < oldest && v != Newest.Version && v != Frozen?.Version).ToList())
        {
            versions[version].Dispose();
            versions.Remove(version);
        }
    }

    public void Dispose()
    {
        foreach (var student in versions.Values)
            student.Dispose();
        versions.Clear();
    }
}
