using System.Numerics.Tensors;
using System.Text;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Publishing.Onnx;

namespace KdServing.Distiller.Publishing;

/// <summary>Writes a draft as a complete version: graphs, rows, schema, golden batch, manifest. One owner a model; one thread at a time.</summary>
/// <remarks>
/// The first version of a process is a base, since nobody knows which rows changed before it; then one in
/// <see cref="RefreshPolicy.BaseEvery"/>. What a draft changed stays pending until a version that holds it is published.
/// <code>
/// using var draft = VersionDraft.Take(schema, tables, student, golden, origin);   // training thread
/// var manifest = writer.Publish(draft);                                           // any thread
/// </code>
/// </remarks>
public sealed class VersionWriter(ModelRepository repository, string model, RefreshPolicy policy)
{
    private int[][] pending = [];
    private int publishedSinceBase;

    /// <summary>The version published last by this writer; null before the first.</summary>
    public VersionManifest? Newest { get; private set; }

    /// <summary>Checks the draft against the trainer's logits and publishes it: whole, or not at all.</summary>
    /// <exception cref="ParityException">The graphs do not compute what the trainer computed; nothing was published.</exception>
    /// <exception cref="IOException">The disk refused; nothing was published.</exception>
    public VersionManifest Publish(VersionDraft draft)
    {
        Hold(draft);
        var versions = repository.Versions(model);
        var version = versions.Count == 0 ? 1 : versions[^1] + 1;
        var isBase = Newest is null || policy.IsBaseDue(publishedSinceBase);
        var parityError = 0.0;
        var manifest = repository.Publish(model, version,
            folder => parityError = Write(folder, draft, isBase),
            files => Describe(draft, version, isBase, parityError, files));
        Newest = manifest;
        pending = [];
        publishedSinceBase = isBase ? 1 : publishedSinceBase + 1;
        if (isBase)
            RemoveOldChains();
        return manifest;
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
                // NaN propagates through the maximum.
                if (!float.IsFinite(TensorPrimitives.MaxMagnitude(tables[t][row])))
                    throw new ParityException($"row {row} of table '{tables[t].Shape.Name}' holds a value that is not finite");
            }
        }
    }

    private VersionManifest Describe(VersionDraft draft, long version, bool isBase, double parityError,
        IReadOnlyDictionary<string, VersionFile> files) => new()
        {
            Format = VersionManifest.CurrentFormat,
            Model = model,
            Version = version,
            Kind = isBase ? VersionKind.Base : VersionKind.Delta,
            BaseVersion = isBase ? version : Newest!.BaseVersion,
            PreviousVersion = isBase ? 0 : Newest!.Version,
            CreatedAtMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
            SchemaFingerprint = draft.Schema.Fingerprint.ToString("x16", null),
            Signature = draft.Student.Signature,
            Position = draft.Position,
            WatermarkMs = draft.WatermarkMs,
            TeacherVersions = draft.TeacherVersions,
            RecordsLearned = draft.RecordsLearned,
            Metrics = new SortedDictionary<string, double>(draft.Metrics.ToDictionary(), StringComparer.Ordinal) { ["parity_error"] = parityError },
            Files = files,
        };

    // Both ascending and without repeats, and so is the result.
    private static int[] Union(int[] a, int[] b)
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
