using BenchmarkDotNet.Attributes;
using KdServing.Contracts;

namespace KdServing.Benchmarks;

/// <summary>Embedding rows of 1,000 candidates × 10 features gathered into a matrix, from tables inside and outside the caches.</summary>
public class GatherBenchmarks
{
    private const int Candidates = 1000;
    private const int Features = 10;
    private const int Width = 16;

    private EmbeddingTable[] tables = null!;
    private FeatureAssembler assembler = null!;
    private FeatureSchema schema = null!;
    private Column[] columns = null!;
    private float[] matrix = null!;

    /// <summary>Rows of the table that all features share: 6 MB, 64 MB, 512 MB.</summary>
    [Params(100_000, 1_000_000, 8_000_000)]
    public int Rows { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        var features = string.Join(',', Enumerable.Range(0, Features).Select(f =>
            $$"""{ "name": "f{{f}}", "side": "item", "kind": "hash", "buckets": {{Rows}}, "dim": {{Width}}, "table": "shared" }"""));
        schema = FeatureSchema.Parse($$"""{ "name": "gather", "targets": ["click"], "features": [{ "name": "user", "side": "user", "kind": "hash", "buckets": 8, "dim": 2 }, {{features}}] }""");
        tables = [.. schema.Tables.Select(t => new EmbeddingTable(t, seed: 1, scale: 0.1f))];
        assembler = new(schema, tables);
        var random = new Random(1);
        columns = [.. schema.Item.Features.Select(f => new Column
        {
            Name = f.Name,
            RawInt64 = Google.Protobuf.ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes<long>(
                Enumerable.Range(0, Candidates).Select(_ => random.NextInt64()).ToArray())),
        })];
        matrix = new float[Candidates * schema.Item.Width];
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        foreach (var table in tables)
            table.Dispose();
    }

    [Benchmark(OperationsPerInvoke = Candidates * Features)]
    public void HashAndGather() => assembler.AssembleItems(columns, Candidates, matrix, []);
}
