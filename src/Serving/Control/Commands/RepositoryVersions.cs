using KdServing.Contracts;

namespace KdServing.Serving.Control.Commands;

/// <summary>What <c>kd models --repository</c> does. True: nothing is wrong.</summary>
internal static class RepositoryVersions
{
    /// <exception cref="ContractException">There is no such folder.</exception>
    public static ModelRepository Open(string root) => Directory.Exists(root)
        ? new(root)
        : throw new ContractException("--repository", $"no folder {root}");

    public static IReadOnlyList<string> Models(ModelRepository repository) =>
        [.. Directory.EnumerateDirectories(repository.Root).Select(p => Path.GetFileName(p)!).Where(n => !n.StartsWith('.')).Order(StringComparer.Ordinal)];

    /// <returns>False when a version can not be read; the others are listed all the same.</returns>
    public static bool List(TextWriter output, ModelRepository repository, string? model)
    {
        VersionText.WriteHeader(output, withModel: true);
        var intact = true;
        foreach (var name in model is not null ? [model] : Models(repository))
        {
            foreach (var version in repository.Versions(name))
            {
                VersionSummary summary;
                try
                {
                    summary = VersionSummaries.Of(repository.Manifest(name, version));
                }
                catch (ContractException e)
                {
                    intact = false;
                    summary = new() { Version = version, Kind = "DAMAGED", Problem = e.Message };
                }
                VersionText.WriteRow(output, name, summary);
            }
            WriteWanted(output, name, repository.Wanted(name));
        }
        return intact;
    }

    /// <returns>False when a file is damaged.</returns>
    public static bool Show(TextWriter output, ModelRepository repository, string model, long? wanted)
    {
        var versions = repository.Versions(model);
        if (versions.Count == 0)
            throw new ContractException("--model", $"'{model}' has no version in this repository");
        var manifest = repository.Manifest(model, wanted ?? versions[^1]);
        VersionText.WriteManifest(output, manifest, repository.Chain(manifest).Select(m => m.Version));
        var damaged = 0;
        foreach (var (file, description) in manifest.Files)
        {
            var intact = IsIntact(() => repository.Verify(manifest, file));
            damaged += intact ? 0 : 1;
            output.WriteLine($"  {(intact ? "file         " : "DAMAGED FILE ")}{file} {description.Bytes} bytes");
        }
        if (!IsIntact(() => repository.RequireNothingElse(manifest), out var problem))
            output.WriteLine($"  PROBLEM      {problem}");
        return damaged == 0 && problem is null;
    }

    public static bool Pin(TextWriter output, ModelRepository repository, string model, long version, string reason)
    {
        repository.Manifest(model, version);
        repository.SetWanted(model, repository.Wanted(model) with { Pinned = version, Reason = reason });
        output.WriteLine($"version {version} of {model} is pinned for every server of this repository; 'unpin' lifts it");
        return true;
    }

    public static bool Unpin(TextWriter output, ModelRepository repository, string model)
    {
        var before = repository.Wanted(model);
        repository.SetWanted(model, before with { Pinned = 0 });
        output.WriteLine(before.Pinned == 0 ? $"{model} was not pinned" : $"{model} is not pinned any more (was: version {before.Pinned})");
        return true;
    }

    // The folder does not know what servers serve: the version before the one pinned, else before the newest.
    public static bool Rollback(TextWriter output, ModelRepository repository, string model, string reason)
    {
        var wanted = repository.Wanted(model);
        var intact = repository.Versions(model).Where(v => repository.TryManifest(model, v) is not null).ToList();
        var from = wanted.Pinned != 0 ? wanted.Pinned : intact.LastOrDefault();
        var to = intact.LastOrDefault(v => v < from);
        return to != 0 ? Pin(output, repository, model, to, reason)
            : throw new ContractException("version", $"there is no intact version of {model} before {from} to go back to");
    }

    public static bool Hold(TextWriter output, ModelRepository repository, string model, bool release, string reason)
    {
        repository.SetWanted(model, repository.Wanted(model) with { Held = !release, Reason = reason });
        output.WriteLine(release ? $"{model}: new versions are taken again" : $"{model}: no server of this repository takes a new version until 'hold --release'");
        return true;
    }

    public static bool Diff(TextWriter output, ModelRepository repository, string model, long from, long to)
    {
        VersionText.WriteDifference(output, VersionComparison.Of(model, (repository, from), (repository, to)));
        return true;
    }

    private static void WriteWanted(TextWriter output, string model, WantedVersion wanted)
    {
        if (wanted.Pinned != 0)
            output.WriteLine($"{model}: pinned to version {wanted.Pinned}{Because(wanted)}");
        if (wanted.Held)
            output.WriteLine($"{model}: held{Because(wanted)}");

        static string Because(WantedVersion wanted) => wanted.Reason.Length == 0 ? "" : $" ({wanted.Reason})";
    }

    private static bool IsIntact(Action read) => IsIntact(read, out _);

    private static bool IsIntact(Action read, out string? problem)
    {
        try
        {
            read();
            problem = null;
            return true;
        }
        catch (ContractException e)
        {
            problem = e.Message;
            return false;
        }
    }
}
