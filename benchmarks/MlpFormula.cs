using KdServing.Contracts;
using KdServing.Distiller.Students;

namespace KdServing.Benchmarks;

/// <summary>The mlp student's logits straight from the formula, in double precision: what a version's golden batch is made of here.</summary>
internal static class MlpFormula
{
    /// <summary>logits [N] of an mlp without live features and with one hidden layer.</summary>
    public static float[] Logits(DenseMlp mlp, FeatureSchema schema, IReadOnlyList<EmbeddingTable> tables, RankRequest request)
    {
        var assembler = new FeatureAssembler(schema, tables);
        var (user, item) = (new float[schema.User.Width], new float[request.CandidateCount * schema.Item.Width]);
        var (userColumns, itemColumns) = (new Column[schema.User.Features.Count], new Column[schema.Item.Features.Count]);
        ColumnReader.Match(request.User, "user", 1, [schema.User], userColumns);
        assembler.AssembleUser(userColumns, user);
        ColumnReader.Match(request.Item, "item", request.CandidateCount, [schema.Item], itemColumns);
        assembler.AssembleItems(itemColumns, request.CandidateCount, item, []);
        var part = Affine(mlp.User, user);
        return [.. Enumerable.Range(0, request.CandidateCount).Select(n =>
        {
            var first = part.Zip(Affine(mlp.Item, item.AsSpan(n * schema.Item.Width, schema.Item.Width)), (a, b) => Math.Max(0, a + b)).ToArray();
            var second = Affine(mlp.Hidden[0], first).Select(v => Math.Max(0, v)).ToArray();
            return Affine(mlp.Output, second)[0];
        })];
    }

    private static float[] Affine(DenseLayer layer, ReadOnlySpan<float> x)
    {
        var y = new float[layer.Outputs];
        for (var o = 0; o < layer.Outputs; o++)
        {
            double sum = layer.Bias?[o] ?? 0;
            for (var i = 0; i < layer.Inputs; i++)
                sum += layer.Weight[o * layer.Inputs + i] * (double)x[i];
            y[o] = (float)sum;
        }
        return y;
    }
}
