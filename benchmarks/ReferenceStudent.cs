using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Students;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;

namespace KdServing.Benchmarks;

/// <summary>
/// The student every figure is about: 20 categorical features of width 16 (10 of the user, 10 of the item; 10^5 rows each),
/// mlp 320 → 128 → 64 → 1, the user's part computed once. Random weights; published and loaded like any other version.
/// </summary>
public sealed class ReferenceStudent : IDisposable
{
    public const string Model = "reference";

    private const int Features = 10;
    private const int Width = 16;
    private const int Buckets = 100_000;

    private readonly InferenceRuntime runtime = InferenceRuntime.Open(InferenceDevice.Cpu);
    private readonly ScoringBufferPool pool = new();
    private readonly DenseMlp dense;
    private readonly EmbeddingTable[] tables;
    private readonly VersionWriter writer;
    private readonly bool isKept;

    /// <param name="folder">Where it is published, and stays; null: a folder that goes with it.</param>
    public ReferenceStudent(string? folder = null)
    {
        isKept = folder is not null;
        Folder = folder ?? Directory.CreateTempSubdirectory("kd-bench-").FullName;
        var features = string.Join(',', Enumerable.Range(0, 2 * Features).Select(i =>
            $$"""{ "name": "f{{i}}", "side": "{{(i < Features ? "user" : "item")}}", "kind": "hash", "buckets": {{Buckets}}, "dim": {{Width}} }"""));
        Schema = FeatureSchema.Parse($$"""{ "name": "reference", "targets": ["click"], "features": [{{features}}] }""");
        dense = RandomLayers.ReferenceMlp(new(1), Features * Width, Features * Width, Schema.Targets);
        var repository = new ModelRepository(Folder);
        writer = new(repository, Model, new());
        tables = [.. Schema.Tables.Select((t, i) => new EmbeddingTable(t, (ulong)i, 0.1f))];
        Publish();
        // Sessions of its own, not those that a version scored by a kernel shares: ONNX Runtime is measured as it would serve.
        var loader = new ServableLoader(repository, runtime, pool, new(), TimeSpan.FromSeconds(1)) { Engine = EngineChoice.Onnx };
        Servable = loader.Load(Model, 1, held: null);
        Servable.Engine = DenseTiles.IsSupported ? ScoringEngines.FastestKernel : ScoringEngine.OnnxRuntime;
    }

    /// <summary>Root of the repository it is published in.</summary>
    public string Folder { get; }

    public FeatureSchema Schema { get; }

    /// <summary>Number of the version published last.</summary>
    public long Newest { get; private set; }

    public Servable Servable { get; }

    /// <param name="raw">Ids as raw little-endian bytes instead of varints.</param>
    public RankRequest Request(int candidates, bool raw, int seed = 1)
    {
        var random = new Random(seed);
        var request = new RankRequest { RequestId = "r", CandidateCount = candidates };
        request.User.AddRange(Schema.User.Features.Select(f => Ids(f.Name, 1)));
        request.Item.AddRange(Schema.Item.Features.Select(f => Ids(f.Name, candidates)));
        return request;

        Column Ids(string name, int rows)
        {
            var ids = Enumerable.Range(0, rows).Select(_ => random.NextInt64(1_000_000)).ToArray();
            return raw
                ? new() { Name = name, RawInt64 = ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes<long>(ids)) }
                : new() { Name = name, Ints = new() { Value = { ids } } };
        }
    }

    /// <summary>Touches so many rows of each table and publishes the next version.</summary>
    public void PublishDelta(int rows)
    {
        foreach (var table in tables)
        {
            for (var r = 0; r < rows; r++)
                table.Writable(r)[0] *= 1;
        }
        Publish();
    }

    public void Dispose()
    {
        Servable.Dispose();
        foreach (var table in tables)
            table.Dispose();
        pool.Dispose();
        runtime.Dispose();
        if (!isKept)
            Directory.Delete(Folder, recursive: true);
    }

    private void Publish()
    {
        var request = Request(candidates: 4, raw: true);
        var golden = GoldenRequests.Batch([(request, MlpFormula.Logits(dense, Schema, tables, request))]);
        using var draft = VersionDraft.Take(Schema, tables, dense, golden,
            new(new Dictionary<string, string>(), 0, new Dictionary<string, long>(), 0, new Dictionary<string, double>()));
        Newest = writer.Publish(draft).Version;
    }
}
