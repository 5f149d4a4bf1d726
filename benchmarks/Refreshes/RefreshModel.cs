using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Students;

namespace KdServing.Benchmarks.Refreshes;

/// <summary>
/// A trainer's side of a refresh: the reference student (20 tables of width 16, mlp 320 → 128 → 64 → 1) with as many rows as asked for,
/// whose rows change and which is drafted and published. Random weights.
/// </summary>
internal sealed class RefreshModel : IDisposable
{
    public const string Name = "refresh";

    /// <summary>Tables, of equal size: 10 of the user, 10 of the item.</summary>
    public const int Tables = 20;

    public const int Width = 16;

    private readonly FeatureSchema schema;
    private readonly EmbeddingTable[] tables;
    private readonly DenseMlp dense;
    private readonly Random random = new(1);

    /// <param name="rows">Of all tables together.</param>
    public RefreshModel(long rows)
    {
        var buckets = rows / Tables;
        var features = string.Join(',', Enumerable.Range(0, Tables).Select(i =>
            $$"""{ "name": "f{{i}}", "side": "{{(i < Tables / 2 ? "user" : "item")}}", "kind": "hash", "buckets": {{buckets}}, "dim": {{Width}} }"""));
        schema = FeatureSchema.Parse($$"""{ "name": "refresh", "targets": ["click"], "features": [{{features}}] }""");
        tables = [.. schema.Tables.Select((t, i) => new EmbeddingTable(t, (ulong)i, 0.1f))];
        dense = RandomLayers.ReferenceMlp(random, Tables / 2 * Width, Tables / 2 * Width, schema.Targets);
    }

    /// <summary>Changes exactly this share of each table's rows, scattered evenly: no pages are spared that a hash would not spare.</summary>
    public void Learn(double share)
    {
        foreach (var table in tables)
        {
            // Knuth's algorithm S: each row with the probability that is left.
            var wanted = Math.Max(1, (int)Math.Round(table.Rows * share));
            for (var row = 0; wanted > 0; row++)
            {
                if (random.NextDouble() * (table.Rows - row) >= wanted)
                    continue;
                table.Writable(row)[0] += 0.01f;
                wanted--;
            }
        }
    }

    /// <summary>The golden batch of the model as it is; the trainer makes it while it evaluates.</summary>
    public GoldenBatch Golden()
    {
        var request = new RankRequest { CandidateCount = 4 };
        request.User.AddRange(schema.User.Features.Select(f => Ids(f.Name, 1)));
        request.Item.AddRange(schema.Item.Features.Select(f => Ids(f.Name, request.CandidateCount)));
        return GoldenRequests.Batch([(request, MlpFormula.Logits(dense, schema, tables, request))]);

        Column Ids(string name, int rows) =>
            new() { Name = name, Ints = new() { Value = { Enumerable.Range(0, rows).Select(_ => random.NextInt64(1_000_000)) } } };
    }

    /// <summary>What stops training: forks of the tables, and which rows changed.</summary>
    public VersionDraft Draft(GoldenBatch golden) => VersionDraft.Take(schema, tables, dense, golden,
        new(new Dictionary<string, string>(), 0, new Dictionary<string, long>(), 0, new Dictionary<string, double>()));

    public void Dispose()
    {
        foreach (var table in tables)
            table.Dispose();
    }
}
