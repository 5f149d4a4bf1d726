using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Publishing.Onnx;

namespace KdServing.Distiller.Publishing;

/// <summary>Writes a draft as a complete version: graphs, rows, schema, golden batch, manifest. One owner a model; one thread at a time.</summary>
/// <remarks>
/// The first version of a writer is a base, unless <see cref="Restore"/> said which rows changed before it; then one in
/// <see cref="RefreshPolicy.BaseEvery"/>. What a draft changed stays pending until a version that holds it is published.
/// <code>
/// using var draft = VersionDraft.Take(schema, tables, student, golden, origin);   // training thread
/// var manifest = writer.Publish(draft);                                           // any thread
/// </code>
/// </remarks>
public sealed class VersionWriter(ModelRepository repository, string model, RefreshPolicy policy)
{
    private int[][] pending = [];

    /// <summary>What the next version continues.</summary>
    public PublicationState State { get; private set; } = new(0, 0, 0, 0);

    /// <summary>Rows of each table that no published version holds yet, ascending; empty: none.</summary>
    public IReadOnlyList<int[]> Pending => pending;

    /// <summary>Continues where another writer was.</summary>
    /// <param name="pendingRows">As <see cref="Pending"/> gave it; with what was written since.</param>
    public void Restore(PublicationState state, IReadOnlyList<int[]> pendingRows) => (State, pending) = (state, [.. pendingRows]);

    /// <summary>Begins anew after what the repository holds: the next version is a base.</summary>
    public void Rebase(long newestVersion) => Restore(new(newestVersion, 0, 0,
        Math.Max(State.NewestCreatedAtMs, repository.TryManifest(model, newestVersion)?.CreatedAtMs ?? 0)), []);

    /// <summary>What the next version is to be. It is younger than the one before it, whatever the clock has been set to: servers tell a replay by number and date.</summary>
    public VersionPlan Plan(long createdAtMs, long epoch = 0, VersionLineage? lineage = null)
    {
        var version = State.NewestVersion + 1;
        var isBase = State.BaseVersion == 0 || policy.IsBaseDue(State.PublishedSinceBase);
        return new(version, isBase, isBase ? version : State.BaseVersion, isBase ? 0 : State.NewestVersion, Math.Max(createdAtMs, State.NewestCreatedAtMs + 1), epoch, lineage);
    }

    /// <summary>Checks the draft against the trainer's logits and publishes it: whole, or not at all. After what the repository holds, dated now.</summary>
    /// <exception cref="ParityException">The graphs do not compute what the trainer computed; nothing was published.</exception>
    /// <exception cref="IOException">The disk refused; nothing was published.</exception>
    public VersionManifest Publish(VersionDraft draft)
    {
        var newest = repository.Versions(model).LastOrDefault();
        if (State.BaseVersion == 0)
            Rebase(newest);
        var plan = Plan(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
        // Numbers are never used twice, whoever used them.
        var version = Math.Max(plan.Version, newest + 1);
        return Publish(draft, plan with { Version = version, BaseVersion = plan.IsBase ? version : plan.BaseVersion });
    }

    /// <summary>Publishes a draft as planned. A version that is there already is derived again and compared, file by file.</summary>
    /// <exception cref="ParityException">The graphs do not compute what the trainer computed; nothing was published.</exception>
    /// <exception cref="IOException">The disk refused; nothing was published.</exception>
    /// <exception cref="RederivationException">The version in the repository is another one.</exception>
    public VersionManifest Publish(VersionDraft draft, VersionPlan plan)
    {
        Hold(draft);
        var manifest = repository.TryManifest(model, plan.Version) is { } there
            ? Compare(there, draft, plan)
            : WriteNew(draft, plan);
        Adopt(plan);
        if (plan.IsBase)
            RemoveOldChains();
        return manifest;
    }

    /// <summary>The plan came true elsewhere: the rows pending are in that version.</summary>
    public void Adopt(VersionPlan plan)
    {
        State = new(plan.Version, plan.BaseVersion, plan.IsBase ? 1 : State.PublishedSinceBase + 1, plan.CreatedAtMs);
        pending = [];
    }

    /// <summary>Writes the version's files into an empty folder, without publishing it.</summary>
    /// <returns>The manifest it would have.</returns>
    public VersionManifest WriteTo(string folder, VersionDraft draft, VersionPlan plan)
    {
        var parityError = Write(folder, draft, plan.IsBase);
        var files = new SortedDictionary<string, VersionFile>(StringComparer.Ordinal);
        foreach (var path in Directory.EnumerateFiles(folder))
        {
            using var stream = File.OpenRead(path);
            files[Path.GetFileName(path)] = new(stream.Length, Convert.ToHexStringLower(SHA256.HashData(stream)));
        }
        return Describe(draft, plan, parityError, files);
    }

    private VersionManifest WriteNew(VersionDraft draft, VersionPlan plan)
    {
        var parityError = 0.0;
        return repository.Publish(model, plan.Version,
            folder => parityError = Write(folder, draft, plan.IsBase),
            files => Describe(draft, plan, parityError, files));
    }

    private VersionManifest Compare(VersionManifest there, VersionDraft draft, VersionPlan plan)
    {
        var folder = Path.Combine(repository.Root, model, $".staging-again-{plan.Version}{repository.StagingMark}");
        try
        {
            Directory.CreateDirectory(folder);
            var again = WriteTo(folder, draft, plan);
            return Difference(there, again) is { } difference
                ? throw new RederivationException($"version {plan.Version} in the repository is not the one derived again: {difference} differs")
                : there;
        }
        finally
        {
            WholeFolder.Remove(folder);
        }
    }

    /// <summary>The first thing in which two manifests differ; null when they are equal.</summary>
    public static string? Difference(VersionManifest a, VersionManifest b)
    {
        foreach (var name in a.Files.Keys.Union(b.Files.Keys).Order(StringComparer.Ordinal))
        {
            if (a.Files.GetValueOrDefault(name) != b.Files.GetValueOrDefault(name))
                return name;
        }
        return a.ToJson() == b.ToJson() ? null : "the manifest";
    }

    /// <summary>Remembers what a draft changed, for a draft that will not be published: the next delta must hold those rows.</summary>
    public void Hold(VersionDraft draft) =>
        pending = [.. draft.ChangedRows.Select((rows, t) => pending.Length == 0 ? rows : Union(pending[t], rows))];

    private void RemoveOldChains()
    {
        var bases = repository.Versions(model).Reverse().Where(v => repository.TryManifest(model, v) is { Kind: VersionKind.Base });
        if (bases.Skip(policy.KeepBases - 1).FirstOrDefault() is > 0 and var oldestKept)
            repository.RemoveBefore(model, oldestKept);
    }

    private double Write(string folder, VersionDraft draft, bool isBase)
    {
        WriteGraph(StudentSignature.UserEncoderFile, StudentGraphs.UserEncoder(draft.Student), []);
        WriteGraph(StudentSignature.ItemEncoderFile, StudentGraphs.ItemEncoder(draft.Student), []);
        WriteGraph(StudentSignature.HeadFile, StudentGraphs.Head(draft.Student), []);
        if (isBase)
            WriteRanker();
        RequireFinite(draft.Tables, isBase);
        Write(StudentSignature.RowsFile, s => RowsFile.Write(s, draft.Tables, isBase ? null : pending));
        Write(StudentSignature.SchemaFile, s => s.Write(Encoding.UTF8.GetBytes(draft.Schema.Json)));
        Write(StudentSignature.GoldenFile, s => draft.Golden.WriteTo(s));
        return new ParityCheck(draft.Schema, draft.Golden).Require(folder, draft.Tables);

        void WriteRanker()
        {
            var graph = RankerGraph.WithoutTables(draft.Student, draft.Schema);
            EmbeddingTable[] tables = [.. RankerGraph.Tables(draft.Schema).Select(t => draft.Tables[t])];
            // Larger models have no single-file form; servers of ours do not need it.
            if (OnnxFile.Size(graph, tables) <= OnnxFile.MaxBytes)
                WriteGraph(StudentSignature.RankerFile, graph, tables);
        }

        void WriteGraph(string file, ModelProto graph, IReadOnlyList<EmbeddingTable> tables) =>
            Write(file, s => OnnxFile.Write(s, graph, tables));

        // The repository flushes to the disk what it finds in the folder.
        void Write(string file, Action<Stream> write)
        {
            using var stream = new FileStream(Path.Combine(folder, file), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16);
            write(stream);
        }
    }

    // The golden batch reads a few rows; what it does not read must not be broken either.
    private void RequireFinite(IReadOnlyList<EmbeddingTable> tables, bool isBase)
    {
        for (var t = 0; t < tables.Count; t++)
        {
            var count = isBase ? tables[t].Rows : pending[t].Length;
            for (var i = 0; i < count; i++)
            {
                var row = isBase ? i : pending[t][i];
                if (FiniteValues.IndexOfFault(tables[t][row]) >= 0)
                    throw new ParityException($"row {row} of table '{tables[t].Shape.Name}' holds a value that is not finite");
            }
        }
    }

    private VersionManifest Describe(VersionDraft draft, VersionPlan plan, double parityError,
        IReadOnlyDictionary<string, VersionFile> files) => new()
        {
            Format = VersionManifest.CurrentFormat,
            Model = model,
            Version = plan.Version,
            Kind = plan.IsBase ? VersionKind.Base : VersionKind.Delta,
            BaseVersion = plan.BaseVersion,
            PreviousVersion = plan.PreviousVersion,
            Epoch = plan.Epoch,
            Lineage = plan.Lineage,
            CreatedAtMs = plan.CreatedAtMs,
            SchemaFingerprint = draft.Schema.Fingerprint.ToString("x16", null),
            Signature = draft.Student.Signature,
            Position = draft.Position,
            WatermarkMs = draft.WatermarkMs,
            TeacherVersions = draft.TeacherVersions,
            Teachers = draft.Teachers,
            RecordsLearned = draft.RecordsLearned,
            Metrics = new SortedDictionary<string, double>(draft.Metrics.ToDictionary(), StringComparer.Ordinal) { ["parity_error"] = parityError },
            Files = files,
        };

    // Both ascending and without repeats, and so is the result.
    internal static int[] Union(int[] a, int[] b)
    {
        var union = new List<int>(a.Length + b.Length);
        int i = 0, j = 0;
        while (i < a.Length || j < b.Length)
        {
            var next = j == b.Length || (i < a.Length && a[i] <= b[j]) ? a[i] : b[j];
            if (i < a.Length && a[i] == next)
                i++;
            if (j < b.Length && b[j] == next)
                j++;
            union.Add(next);
        }
        return [.. union];
    }
}

/// <summary>A version was derived a second time and came out differently; it must not replace the first.</summary>
public sealed class RederivationException(string message) : Exception(message);
