using System.Runtime.InteropServices;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Students;

namespace KdServing.Benchmarks.Peers;

/// <summary>The peers' model as a KdServing version: the same tables, the same weights, and therefore the same scores.</summary>
/// <remarks>
/// <c>cold_weights.bin</c> holds float32, row-major: tables tu and ti [100000, 16], wu [128, 128], wi [192, 128], b1 [128], w2 [128, 64],
/// b2 [64], w3 [64, 1], b3 [1]; a weight is [inputs, outputs]. The user's 8 fields share tu, the item's 12 share ti, as with the peers.
/// The peers receive table rows. Our server hashes raw ids, so the load generator sends, for row r, the smallest id that hashes to r
/// (<see cref="WriteRawIds"/>): ids up to some 1.2 million, so three bytes a varint like the peers' rows.
/// </remarks>
internal sealed class PeerModel
{
    public const string Name = "peers";
    public const int UserFields = 8;
    public const int ItemFields = 12;
    public const int TableRows = 100_000;

    private const int Width = 16;
    private const int First = 128;
    private const int Second = 64;
    private const string UserTable = "tu";
    private const string ItemTable = "ti";
    private const int GoldenCandidates = 8;
    private const int ItemsPerBatch = 1000;
    // Item k of the catalog has the features of the peers' request 2^40 + k with one candidate (native/loadgen.cc).
    private const ulong CatalogSeed = 1UL << 40;

    private readonly float[] userTable;
    private readonly float[] itemTable;
    private readonly DenseMlp student;

    /// <param name="weights">Path of <c>cold_weights.bin</c>.</param>
    /// <exception cref="PeersException">The file is of another length.</exception>
    public PeerModel(string weights)
    {
        var values = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(weights)).ToArray();
        var at = 0;
        float[] Take(int count) => values[at..(at += count)];
        const int Expected = 2 * TableRows * Width + (UserFields + ItemFields) * Width * First + First + First * Second + Second + Second + 1;
        if (values.Length != Expected)
            throw new PeersException($"{weights} holds {values.Length} floats, not {Expected}: the peers' model has changed, and PeerModel must follow");
        (userTable, itemTable) = (Take(TableRows * Width), Take(TableRows * Width));
        Schema = FeatureSchema.Parse($$"""{ "name": "peers", "targets": ["click"], "features": [{{Features("user", "u", UserFields, UserTable)}}, {{Features("item", "i", ItemFields, ItemTable)}}] }""");
        var signature = new StudentSignature("mlp", UserFields * Width, ItemFields * Width, 0, First, First, Schema.Targets);
        var (user, item, firstBias) = (Take(UserFields * Width * First), Take(ItemFields * Width * First), Take(First));
        var (second, secondBias, output, outputBias) = (Take(First * Second), Take(Second), Take(Second), Take(1));
        student = new(signature, Layer(user, firstBias, First), Layer(item, null, First), null, [Layer(second, secondBias, Second)],
            Layer(output, outputBias, 1));
    }

    public FeatureSchema Schema { get; }

    /// <summary>Publishes it as version 1 of model <see cref="Name"/>; the writer checks its graphs against the formula.</summary>
    public void Publish(string repository)
    {
        EmbeddingTable[] tables = [.. Schema.Tables.Select(t => Table(t, t.Name == UserTable ? userTable : itemTable))];
        try
        {
            var request = GoldenRequest();
            var golden = GoldenRequests.Batch([(request, MlpFormula.Logits(student, Schema, tables, request))]);
            using var draft = VersionDraft.Take(Schema, tables, student, golden,
                new(new Dictionary<string, string>(), 0, new Dictionary<string, long>(), 0, new Dictionary<string, double>()));
            new VersionWriter(new ModelRepository(repository), Name, new()).Publish(draft);
        }
        finally
        {
            foreach (var table in tables)
                table.Dispose();
        }
    }

    /// <summary>The raw ids that hash to row 0, 1, 2, … of the user's table, then of the item's: int64 [2, 100000].</summary>
    public void WriteRawIds(string path)
    {
        RawUserIds = Preimages(UserTable);
        RawItemIds = Preimages(ItemTable);
        File.WriteAllBytes(path, [.. MemoryMarshal.AsBytes<long>(RawUserIds), .. MemoryMarshal.AsBytes<long>(RawItemIds)]);
    }

    /// <summary>Items 0, 1, 2, … as a bulk file for the server's catalog: the same features as the C++ catalog peer computes its vectors from.</summary>
    public void WriteItems(string path, int count)
    {
        using var file = File.Create(path);
        for (var first = 0; first < count; first += ItemsPerBatch)
        {
            var batch = new ItemBatch { SchemaFingerprint = Schema.Fingerprint };
            batch.Features.AddRange(Schema.Item.Features.Select(f => new Column { Name = f.Name, Ints = new() }));
            for (var k = first; k < Math.Min(count, first + ItemsPerBatch); k++)
            {
                batch.Put.Add(k);
                var rows = ItemRows(k);
                for (var f = 0; f < ItemFields; f++)
                    batch.Features[f].Ints.Value.Add(RawItemIds[rows[f]]);
            }
            batch.WriteDelimitedTo(file);
        }
    }

    // As MakeIds of the peers' common/util.h: splitmix64 from seed × 1000003 + 17, the user's ids first.
    private static int[] ItemRows(int item)
    {
        var state = (CatalogSeed + (ulong)item) * 1_000_003 + 17;
        var rows = new int[UserFields + ItemFields];
        for (var f = 0; f < rows.Length; f++)
        {
            rows[f] = (int)(FeatureHash.Mix(state) % TableRows);
            state += 0x9E3779B97F4A7C15;
        }
        return rows[UserFields..];
    }

    /// <summary>Row → the smallest raw id that hashes to it; empty before <see cref="WriteRawIds"/>.</summary>
    public long[] RawUserIds { get; private set; } = [];

    /// <inheritdoc cref="RawUserIds"/>
    public long[] RawItemIds { get; private set; } = [];

    private static string Features(string side, string prefix, int count, string table) => string.Join(", ", Enumerable.Range(0, count).Select(f =>
        $$"""{ "name": "{{prefix}}{{f}}", "side": "{{side}}", "kind": "hash", "buckets": {{TableRows}}, "dim": {{Width}}, "table": "{{table}}" }"""));

    // [inputs, outputs] as numpy multiplies it → [outputs, inputs] as torch keeps it.
    private static DenseLayer Layer(float[] weight, float[]? bias, int outputs)
    {
        var inputs = weight.Length / outputs;
        var turned = new float[weight.Length];
        for (var i = 0; i < inputs; i++)
        {
            for (var o = 0; o < outputs; o++)
                turned[o * inputs + i] = weight[i * outputs + o];
        }
        return new(turned, bias, inputs, outputs);
    }

    private static EmbeddingTable Table(TableShape shape, float[] values)
    {
        var table = new EmbeddingTable(shape);
        for (var row = 0; row < shape.Rows; row++)
            values.AsSpan(row * Width, Width).CopyTo(table.Writable(row));
        return table;
    }

    private static long[] Preimages(string table)
    {
        var seed = FeatureHash.Seed(table);
        var ids = new long[TableRows];
        Array.Fill(ids, -1);
        for (long id = 0, found = 0; found < TableRows; id++)
        {
            ref var slot = ref ids[FeatureHash.Row(id, seed, TableRows)];
            if (slot < 0)
                (slot, found) = (id, found + 1);
        }
        return ids;
    }

    private RankRequest GoldenRequest()
    {
        var random = new Random(1);
        var request = new RankRequest { RequestId = "golden", CandidateCount = GoldenCandidates };
        request.User.AddRange(Schema.User.Features.Select(f => Ids(f.Name, 1)));
        request.Item.AddRange(Schema.Item.Features.Select(f => Ids(f.Name, GoldenCandidates)));
        return request;

        Column Ids(string name, int rows) => new() { Name = name, Ints = new() { Value = { Enumerable.Range(0, rows).Select(_ => random.NextInt64(1_000_000)) } } };
    }
}
