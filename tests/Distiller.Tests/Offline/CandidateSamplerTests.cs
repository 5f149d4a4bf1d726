using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Offline;

namespace KdServing.Distiller.Tests.Offline;

public sealed class CandidateSamplerTests
{
    private static readonly FeatureSchema Schema = FeatureSchema.Parse("""
        { "name": "s", "targets": [ "click" ], "features": [
          { "name": "user", "side": "user", "kind": "hash", "buckets": 64, "dim": 2 },
          { "name": "item", "side": "item", "kind": "hash", "buckets": 64, "dim": 2 },
          { "name": "brand", "side": "item", "kind": "hash", "buckets": 64, "dim": 2 } ] }
        """);

    [Fact]
    public void Added_candidates_are_known_items_without_labels()
    {
        var sampler = new CandidateSampler(Schema, [Record("a", 1, 2), Record("b", 3)]);

        var extended = sampler.Extend(Record("a", 1, 2), 50, 9);

        Assert.Equal(52, extended.CandidateCount);
        Assert.Equal([.. Enumerable.Repeat((byte)CandidateOrigin.Exposed, 2), .. Enumerable.Repeat((byte)CandidateOrigin.Sampled, 50)], extended.Origin.ToByteArray());
        Assert.Equal(new byte[50], extended.Labels[0].States.ToByteArray()[2..]);
        var items = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, long>(extended.Item[0].RawInt64.Span).ToArray();
        Assert.Equal([1L, 2L], items[..2]);
        Assert.Equal([1L, 2L, 3L], items.Distinct().Order());
        // An item's columns stay together.
        Assert.All(items.Zip(extended.Item[1].Strings.Value), pair => Assert.Equal($"brand {pair.First}", pair.Second));
        new Distiller.Training.FeatureBatch(Schema, []).Add(extended);
    }

    [Fact]
    public void Their_probabilities_are_those_of_the_draw()
    {
        // Item 1 is the only positive: half of all draws, and a third of the others.
        var record = Record("a", 1, 2, 3);
        var extended = new CandidateSampler(Schema, [record]).Extend(record, 30_000, 1);
        var items = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, long>(extended.Item[0].RawInt64.Span).ToArray()[3..];

        Assert.Equal(2.0 / 3, items.Count(i => i == 1) / 30_000.0, 0.01);
        Assert.Equal(Math.Log(2.0 / 3), extended.SamplingLogQ[3 + Array.IndexOf(items, 1)], 1e-5);
        Assert.Equal(Math.Log(1.0 / 6), extended.SamplingLogQ[3 + Array.IndexOf(items, 2)], 1e-5);
    }

    [Fact]
    public void A_draw_is_a_function_of_seed_and_impression()
    {
        var record = Record("a", 1, 2, 3);
        var sampler = new CandidateSampler(Schema, [record]);

        Assert.Equal(sampler.Extend(record, 20, 1), sampler.Extend(record, 20, 1));
        Assert.NotEqual(sampler.Extend(record, 20, 1), sampler.Extend(record, 20, 2));
    }

    [Fact]
    public void Live_features_can_not_be_made_up() =>
        Assert.Contains("unexposed candidates would need their values",
            Assert.Throws<ContractException>(() => new CandidateSampler(Training.Impressions.Schema, [])).Message);

    private static TeacherRecord Record(string id, params long[] items)
    {
        var record = new TeacherRecord { RequestId = id, CandidateCount = items.Length };
        record.User.Add(Columns.OfInt("user", 5));
        record.Item.Add(Columns.OfInts("item", items));
        record.Item.Add(Columns.OfTexts("brand", items.Select(i => $"brand {i}")));
        record.Origin = Google.Protobuf.ByteString.CopyFrom([.. items.Select(_ => (byte)CandidateOrigin.Exposed)]);
        record.SamplingLogQ.AddRange(items.Select(_ => 0f));
        record.Labels.Add(new TargetLabels { Target = "click", States = Google.Protobuf.ByteString.CopyFrom([.. items.Select(i => (byte)(i == 1 ? LabelState.Positive : LabelState.Negative))]) });
        return record;
    }
}
