using KdServing.Contracts;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Kernels;

public sealed class CandidateColumnsTests
{
    [Fact]
    public void What_is_asked_for_ahead_is_every_line_of_every_row_of_the_features_named()
    {
        var schema = FeatureSchema.Parse("""
            { "name": "s", "targets": ["click"], "features": [
              { "name": "u", "side": "user", "kind": "hash", "buckets": 10, "dim": 4 },
              { "name": "a", "side": "item", "kind": "hash", "buckets": 10, "dim": 16 },
              { "name": "b", "side": "item", "kind": "hash", "buckets": 10, "dim": 24 },
              { "name": "n", "side": "item", "kind": "numeric" },
              { "name": "l", "side": "cross", "kind": "hash", "buckets": 10, "dim": 8 }] }
            """);
        EmbeddingTable[] tables = [.. schema.Tables.Select(t => new EmbeddingTable(t, seed: 1, scale: 1))];
        using var memory = new NativeBuffer();
        var columns = new CandidateColumns(schema, tables, memory);
        columns.Reserve(100);
        // The numbers stay as they were: the addresses lie beside them.
        columns.Floats(2, 100).Fill(0.5f);
        foreach (var k in (int[])[0, 1, 3])
        {
            columns.Rows(k, 100).Fill(9);
            columns.AskForFirst(k, 100);
        }
        Assert.Equal(48 * (1 + 2 + 1), columns.Ahead(columns.All, 48, 48).Left);
        Assert.Equal(4 * (1 + 2), columns.Ahead(columns.Item, 96, 4).Left);
        var live = columns.Ahead(columns.Live, 99, 1);
        Assert.Equal(1, live.Left);
        live.Ask(1);
        Assert.Equal(0, live.Left);
        Assert.Equal(0, columns.Ahead(columns.All, 100, 0).Left);
        Assert.All(columns.Floats(2, 100).ToArray(), n => Assert.Equal(0.5f, n));
        foreach (var k in (int[])[0, 1, 3])
            Assert.All(columns.Rows(k, 100).ToArray(), r => Assert.Equal(9, r));
        foreach (var table in tables)
            table.Dispose();
    }
}
