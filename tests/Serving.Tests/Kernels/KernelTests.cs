using System.Runtime.Intrinsics.X86;
using KdServing.Contracts;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;
using KdServing.Serving.Tests.Models;

namespace KdServing.Serving.Tests.Kernels;

/// <summary>The hand-written kernel against ONNX Runtime and the formulas, for every family and every way in.</summary>
public sealed unsafe class KernelTests
{
    private const string IdsOnly = """
        { "name": "ids", "targets": ["click"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 5000, "dim": 16 },
          { "name": "article", "side": "item", "kind": "hash", "buckets": 3000, "dim": 16 },
          { "name": "topic", "side": "item", "kind": "hash", "buckets": 100, "dim": 4 } ] }
        """;

    private static readonly ScoringEngine[] Engines =
    [
        .. MatrixUnit.IsSupported ? (ScoringEngine[])[ScoringEngine.MatrixKernel] : [],
        .. PairTiles.IsSupported ? (ScoringEngine[])[ScoringEngine.PairKernel] : [],
        ScoringEngine.Kernel,
        ScoringEngine.OnnxRuntime,
    ];

    [Theory]
    [InlineData("mlp", SampleStudent.SchemaJson)]
    [InlineData("two_tower", SampleStudent.SchemaJson)]
    [InlineData("mlp", IdsOnly)]
    [InlineData("two_tower", IdsOnly)]
    public void Scores_are_those_of_the_formulas_and_of_onnx_runtime(string family, string schema)
    {
        using var sample = new SampleStudent(family, schema: schema);
        var oracle = new Dictionary<int, (RankRequest Request, float[] Logits)>();
        // A tile, a block, and what is left over of each.
        foreach (var n in (int[])[1, 11, 12, 13, 47, 48, 49, 500])
        {
            var request = sample.Request(n, seed: n);
            oracle[n] = (request, sample.Score(request));
        }
        using var versions = new LoadedVersions(sample, count: 1);
        var servable = versions[1];
        Assert.Equal(ScoringEngines.FastestKernel, servable.Engine);
        foreach (var (request, expected) in oracle.Values)
        {
            foreach (var engine in Engines)
            {
                servable.Engine = engine;
                var run = servable.Rent();
                servable.Score(request, run, CallBudget.Unlimited);
                RequireClose(expected, run.Logits);
                RequireClose([.. expected.Select(x => 1 / (1 + MathF.Exp(-x)))], run.Scores);
                servable.Return(run);
            }
        }
    }

    [Theory]
    [InlineData("mlp", ItemVectorFormat.Float32, 1e-5f)]
    [InlineData("two_tower", ItemVectorFormat.Float32, 1e-5f)]
    [InlineData("mlp", ItemVectorFormat.BFloat16, 1e-2f)]
    [InlineData("two_tower", ItemVectorFormat.BFloat16, 1e-2f)]
    public void Known_item_vectors_score_like_their_features(string family, ItemVectorFormat format, float tolerance)
    {
        const int candidates = 100;
        using var sample = new SampleStudent(family);
        var request = sample.Request(candidates, seed: 1);
        var expected = sample.Score(request);
        using var versions = new LoadedVersions(sample, count: 1);
        var servable = versions[1];
        var items = Items(sample.Schema, servable, request);
        RemoveStaticColumns(sample.Schema, request);
        foreach (var engine in Engines)
        {
            servable.Engine = engine;
            var width = servable.Manifest.Signature.ItemVectorWidth;
            var vectors = new float[candidates * width];
            servable.EncodeItems(items, candidates, vectors);
            var halves = vectors.Select(v => (ushort)(BitConverter.SingleToUInt32Bits(v) >> 16)).ToArray();
            fixed (float* whole = vectors)
            fixed (ushort* half = halves)
            {
                var addresses = new nint[candidates];
                for (var n = 0; n < candidates; n++)
                    addresses[n] = format == ItemVectorFormat.Float32 ? (nint)(whole + n * width) : (nint)(half + n * width);
                var run = servable.Rent();
                servable.Score(request, addresses, format, run, CallBudget.Unlimited);
                RequireClose(expected, run.Logits, tolerance);
                servable.Return(run);
            }
        }
    }

    // First or last of a tile, alone in it or not: not a bit differs.
    [Theory]
    [InlineData("mlp", ItemVectorFormat.Float32)]
    [InlineData("mlp", ItemVectorFormat.BFloat16)]
    [InlineData("two_tower", ItemVectorFormat.Float32)]
    public void A_known_vector_scores_the_same_wherever_it_stands(string family, ItemVectorFormat format)
    {
        using var sample = new SampleStudent(family, schema: IdsOnly);
        using var versions = new LoadedVersions(sample, count: 1);
        var servable = versions[1];
        var vector = new float[servable.Manifest.Signature.ItemVectorWidth];
        var request = sample.Request(candidates: 1, seed: 1);
        servable.EncodeItems(Items(sample.Schema, servable, request), 1, vector);
        RemoveStaticColumns(sample.Schema, request);
        var halves = vector.Select(v => (ushort)(BitConverter.SingleToUInt32Bits(v) >> 16)).ToArray();
        fixed (float* whole = vector)
        fixed (ushort* half = halves)
        {
            var run = servable.Rent();
            float? alone = null;
            foreach (var n in (int[])[1, 12, 13, 40])
            {
                request.CandidateCount = n;
                var addresses = new nint[n];
                addresses.AsSpan().Fill(format == ItemVectorFormat.Float32 ? (nint)whole : (nint)half);
                servable.Score(request, addresses, format, run, CallBudget.Unlimited);
                alone ??= run.Logits[0];
                foreach (var logit in run.Logits)
                    Assert.Equal(alone, logit);
            }
            servable.Return(run);
        }
    }

    [Fact]
    public void Rows_score_like_the_ids_that_hash_to_them()
    {
        using var sample = new SampleStudent("mlp", schema: IdsOnly);
        var request = sample.Request(candidates: 60, seed: 1);
        var expected = sample.Score(request);
        using var versions = new LoadedVersions(sample, count: 1);
        int[] user = [.. request.User.Select((c, k) => sample.Schema.User.Features[k].Row(c.Ints.Value[0]))];
        int[] items = [.. Enumerable.Range(0, 60).SelectMany(n => request.Item.Select((c, k) => sample.Schema.Item.Features[k].Row(c.Ints.Value[n])))];
        var run = versions[1].Rent();
        versions[1].ScoreRows(user, items, run, CallBudget.Unlimited);
        RequireClose(expected, run.Logits);
        items[7] = 100;
        var e = Assert.Throws<ContractException>(() => versions[1].ScoreRows(user, items, run, CallBudget.Unlimited));
        Assert.Equal("item rows: [7] is 100; the table has 100 rows", e.Message);
        Assert.Throws<ContractException>(() => versions[1].ScoreRows(user, items.AsSpan(1), run, CallBudget.Unlimited));
        versions[1].Return(run);
    }

    [Fact]
    public void Rows_can_not_stand_for_numbers()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        var run = versions[1].Rent();
        var e = Assert.Throws<ContractException>(() => versions[1].ScoreRows([1], [1], run, CallBudget.Unlimited));
        Assert.Contains("'last_clicks'", e.Message, StringComparison.Ordinal);
        versions[1].Return(run);
    }

    // AVX-512 and AVX2 add the same products in the same order: not a bit differs.
    [Fact]
    public void Wide_and_narrow_tiles_agree()
    {
        if (!Avx512F.IsSupported)
            return;
        var random = new Random(1);
        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
        const int inputs = 37;
        using var layer = new PackedLayer(Values(inputs * 70), Values(70), inputs, 70);
        Assert.Equal(96, layer.Stride);
        var from = Values(24 * inputs);
        var (wide, narrow) = (new float[24 * 96], new float[24 * 96]);
        fixed (float* a = from, w = wide, n = narrow)
        {
            // Rows asked for meanwhile change nothing, and are all asked for.
            var ahead = new RowsAhead([(nint)a, (nint)w, (nint)n], 300, isFar: false);
            Assert.Equal(15, ahead.Left);
            DenseTiles.Multiply(layer, a, inputs, 24, layer.Bias, 0, w, relu: true, ref ahead, wide: true);
            Assert.Equal(0, ahead.Left);
            ahead = new RowsAhead([(nint)a, (nint)w], 64, isFar: true);
            DenseTiles.Multiply(layer, a, inputs, 24, layer.Bias, 0, n, relu: true, ref ahead, wide: false);
            Assert.Equal(0, ahead.Left);
        }
        Assert.Equal(wide, narrow);
        Assert.Contains(wide, v => v > 0);
        Assert.All(Enumerable.Range(0, 24), r => Assert.All(wide[(r * 96 + 70)..(r * 96 + 96)], v => Assert.Equal(0, v)));
    }

    [Fact]
    public void A_value_that_is_not_a_number_is_not_hidden_by_relu()
    {
        using var layer = new PackedLayer(new float[2], [], 2, 1);
        var from = new float[DenseTiles.Rows * 2];
        from[0] = float.NaN;
        var to = new float[DenseTiles.Rows * layer.Stride];
        fixed (float* a = from, c = to)
        {
            foreach (var wide in (bool[])[Avx512F.IsSupported, false])
            {
                var nothing = default(RowsAhead);
                DenseTiles.Multiply(layer, a, 2, DenseTiles.Rows, layer.Bias, 0, c, relu: true, ref nothing, wide);
                Assert.True(float.IsNaN(to[0]));
            }
        }
    }

    private static float[] Items(FeatureSchema schema, Servable servable, RankRequest request)
    {
        var items = new float[request.CandidateCount * schema.Item.Width];
        var live = new float[request.CandidateCount * schema.Live.Width];
        var found = new Column[schema.Item.Features.Count + schema.Live.Features.Count];
        ColumnReader.Match(request.Item, "item", request.CandidateCount, [schema.Item, schema.Live], found);
        new FeatureAssembler(schema, servable.Tables).AssembleItems(found, request.CandidateCount, items, live);
        return items;
    }

    private static void RemoveStaticColumns(FeatureSchema schema, RankRequest request)
    {
        foreach (var column in request.Item.Where(c => schema.Item.Features.Any(f => f.Name == c.Name)).ToList())
            request.Item.Remove(column);
    }

    private static void RequireClose(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, float tolerance = 1e-5f)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.True(MathF.Abs(expected[i] - actual[i]) <= tolerance * MathF.Max(1, MathF.Abs(expected[i])), $"{i}: {expected[i]} and {actual[i]}");
    }
}
