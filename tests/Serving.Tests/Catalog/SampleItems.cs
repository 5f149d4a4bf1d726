using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Serving.Catalog;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Catalog;

/// <summary>Items of a sample student: the candidates of one of its requests, put under ids of their own.</summary>
/// <param name="firstId">Id of the first candidate's item; the others follow.</param>
internal sealed class SampleItems(SampleStudent sample, int count, int seed, long firstId = 1000)
{
    /// <summary>The request with every item's features inline.</summary>
    public RankRequest Inline { get; } = sample.Request(count, seed);

    public long[] Ids { get; } = [.. Enumerable.Range(0, count).Select(n => firstId + n)];

    /// <summary>The same request by item ids.</summary>
    public RankRequest ById(bool raw = true, UnknownItems unknown = UnknownItems.ColdStart)
    {
        var request = Inline.Clone();
        var statics = sample.Schema.Item.Features.Select(f => f.Name).ToHashSet();
        foreach (var column in request.Item.Where(c => statics.Contains(c.Name)).ToList())
            request.Item.Remove(column);
        request.Catalog = raw
            ? new() { RawInt64 = ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes<long>(Ids)), Unknown = unknown }
            : new() { Ints = new() { Value = { Ids } }, Unknown = unknown };
        return request;
    }

    /// <summary>What puts them into a catalog.</summary>
    public ItemBatch Batch()
    {
        var statics = sample.Schema.Item.Features.Select(f => f.Name).ToHashSet();
        return new() { SchemaFingerprint = sample.Schema.Fingerprint, Put = { Ids }, Features = { Inline.Item.Where(c => statics.Contains(c.Name)) } };
    }

    /// <summary>Logits of a version by item ids, straight from the catalog.</summary>
    public float[] Score(ItemCatalog catalog, Servable servable, Action? betweenSlotsAndRows = null)
    {
        var request = ById();
        var lookup = catalog.Rent();
        var run = servable.Rent();
        try
        {
            lookup.BetweenSlotsAndRows = betweenSlotsAndRows;
            lookup.Resolve(servable.Items!, request.Catalog, request.CandidateCount, CallBudget.Unlimited);
            servable.Score(request, lookup.Vectors, lookup.Format, run, CallBudget.Unlimited);
            return run.Logits.ToArray();
        }
        finally
        {
            lookup.BetweenSlotsAndRows = null;
            servable.Return(run);
            catalog.Return(lookup);
        }
    }

    /// <summary>Fails unless the logits agree to <paramref name="tolerance"/> of max(1, |logit|).</summary>
    public static void RequireEqual(IReadOnlyList<float> expected, IReadOnlyList<float> actual, float tolerance = 1e-5f)
    {
        Assert.Equal(expected.Count, actual.Count);
        for (var i = 0; i < expected.Count; i++)
        {
            if (!(MathF.Abs(expected[i] - actual[i]) <= tolerance * MathF.Max(1, MathF.Abs(expected[i]))))
                Assert.Fail($"logit {i} is {actual[i]}, expected {expected[i]}");
        }
    }
}
