using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Students;
using KdServing.Serving.Models;

namespace KdServing.Benchmarks.Catalog;

/// <summary>
/// The reference student (10 item features of width 16, mlp 320 → 128 → 64 → 1) as a model that refreshes: versions with other dense
/// weights, or with the same item encoder and some changed embedding rows. Random weights; published and loaded like any other.
/// </summary>
internal sealed class CatalogModel : IDisposable
{
    public const int ItemFeatures = 10;

    private const string Model = "catalog";
    private const int Width = 16;
    private const int Buckets = 100_000;

    private readonly string folder = Directory.CreateTempSubdirectory("kd-bench-").FullName;
    private readonly InferenceRuntime runtime = InferenceRuntime.Open(InferenceDevice.Cpu);
    private readonly ScoringBufferPool pool = new();
    private readonly EmbeddingTable[] tables;
    private readonly ServableLoader loader;
    private readonly VersionWriter writer;
    private readonly Random random = new(1);
    private DenseMlp dense;

    public CatalogModel()
    {
        var features = string.Join(',', Enumerable.Range(0, 2 * ItemFeatures).Select(i =>
            $$"""{ "name": "f{{i}}", "side": "{{(i < ItemFeatures ? "user" : "item")}}", "kind": "hash", "buckets": {{Buckets}}, "dim": {{Width}} }"""));
        Schema = FeatureSchema.Parse($$"""{ "name": "catalog", "targets": ["click"], "features": [{{features}}] }""");
        tables = [.. Schema.Tables.Select((t, i) => new EmbeddingTable(t, (ulong)i, 0.1f))];
        dense = RandomLayers.ReferenceMlp(random, ItemFeatures * Width, ItemFeatures * Width, Schema.Targets);
        var repository = new ModelRepository(folder);
        writer = new(repository, Model, new());
        loader = new(repository, runtime, pool, new(), TimeSpan.FromSeconds(1));
    }

    public FeatureSchema Schema { get; }

    /// <summary>Changes every dense weight of the item's side, as a refresh does by default.</summary>
    public void LearnDense() => dense = dense with { Item = RandomLayers.Layer(random, dense.Item.Inputs, dense.Item.Outputs, bias: false) };

    /// <summary>Changes some rows of every item table and the layers after the encoder, as a refresh with a frozen item tower does.</summary>
    public void LearnRows(int rowsPerTable)
    {
        dense = dense with { Output = RandomLayers.Layer(random, dense.Output.Inputs, dense.Output.Outputs, bias: true) };
        foreach (var table in tables.Skip(ItemFeatures))
        {
            for (var i = 0; i < rowsPerTable; i++)
                table.Writable(random.Next(Buckets))[0] += 0.01f;
        }
    }

    /// <summary>Publishes the model as it is and loads it.</summary>
    /// <param name="held">The version in service.</param>
    public Servable Load(Servable? held)
    {
        var request = Request(4, seed: 3);
        var golden = GoldenRequests.Batch([(request, MlpFormula.Logits(dense, Schema, tables, request))]);
        using var draft = VersionDraft.Take(Schema, tables, dense, golden,
            new(new Dictionary<string, string>(), 0, new Dictionary<string, long>(), 0, new Dictionary<string, double>()));
        return loader.Load(Model, writer.Publish(draft).Version, held);
    }

    /// <summary>Items <paramref name="first"/> to <paramref name="first"/> + <paramref name="count"/>.</summary>
    public ItemBatch Items(int first, int count) => Items(Schema, first, count);

    /// <inheritdoc cref="Items(int, int)"/>
    public static ItemBatch Items(FeatureSchema schema, int first, int count)
    {
        var ids = Enumerable.Range(first, count).Select(i => (long)i).ToArray();
        return new()
        {
            Put = { ids },
            Features = { schema.Item.Features.Select((f, k) => new Column { Name = f.Name, Ints = new() { Value = { ids.Select(i => i * ItemFeatures + k) } } }) },
        };
    }

    /// <summary>A user, and candidates inline.</summary>
    public RankRequest Request(int candidates, int seed)
    {
        var draw = new Random(seed);
        var request = new RankRequest { CandidateCount = candidates };
        request.User.AddRange(Schema.User.Features.Select(f => Ids(f.Name, 1)));
        request.Item.AddRange(Schema.Item.Features.Select(f => Ids(f.Name, candidates)));
        return request;

        Column Ids(string name, int rows) =>
            new() { Name = name, Ints = new() { Value = { Enumerable.Range(0, rows).Select(_ => draw.NextInt64(1_000_000)) } } };
    }

    public void Dispose()
    {
        foreach (var table in tables)
            table.Dispose();
        pool.Dispose();
        runtime.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
