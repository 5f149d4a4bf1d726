using KdServing.Distiller.Students;

namespace KdServing.Tests;

/// <summary>The families' formulas, plainly and in double precision: what every other implementation is compared with.</summary>
public static class StudentOracle
{
    /// <param name="user">[1, UserWidth]: all candidates are this user's.</param>
    /// <param name="item">[N, ItemWidth].</param>
    /// <param name="live">[N, LiveWidth].</param>
    /// <returns>Logits [N, T].</returns>
    public static float[] Score(DenseStudent student, float[] user, float[] item, float[] live)
    {
        var signature = student.Signature;
        var logits = new List<float>();
        for (var n = 0; n < item.Length / signature.ItemWidth; n++)
        {
            var itemRow = Row(item, n, signature.ItemWidth);
            var liveRow = Row(live, n, signature.LiveWidth);
            var row = student is DenseMlp mlp
                ? ScoreMlp(mlp, Row(user, 0, signature.UserWidth), itemRow, liveRow)
                : ScoreTwoTower((DenseTwoTower)student, Row(user, 0, signature.UserWidth), itemRow, liveRow);
            logits.AddRange(row.Select(x => (float)x));
        }
        return [.. logits];
    }

    private static double[] ScoreMlp(DenseMlp mlp, double[] user, double[] item, double[] live)
    {
        var h = Sum(Apply(mlp.User, user), Apply(mlp.Item, item));
        if (mlp.Live is not null)
            h = Sum(h, Apply(mlp.Live, live));
        h = Relu(h);
        foreach (var layer in mlp.Hidden)
            h = Relu(Apply(layer, h));
        return Apply(mlp.Output, h);
    }

    private static double[] ScoreTwoTower(DenseTwoTower towers, double[] user, double[] item, double[] live)
    {
        var products = Chain(towers.UserTower, user).Zip(Chain(towers.ItemTower, item), (a, b) => a * b).ToArray();
        var logits = Apply(towers.Combine, products);
        return towers.LiveNet.Count == 0 ? logits : Sum(logits, Chain(towers.LiveNet, live));
    }

    private static double[] Chain(IReadOnlyList<DenseLayer> layers, double[] x)
    {
        for (var k = 0; k < layers.Count; k++)
            x = k < layers.Count - 1 ? Relu(Apply(layers[k], x)) : Apply(layers[k], x);
        return x;
    }

    private static double[] Apply(DenseLayer layer, double[] x)
    {
        var y = new double[layer.Outputs];
        for (var o = 0; o < layer.Outputs; o++)
        {
            y[o] = layer.Bias?[o] ?? 0;
            for (var i = 0; i < layer.Inputs; i++)
                y[o] += (double)layer.Weight[o * layer.Inputs + i] * x[i];
        }
        return y;
    }

    private static double[] Sum(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x + y)];

    private static double[] Relu(double[] x) => [.. x.Select(v => Math.Max(0, v))];

    private static double[] Row(float[] matrix, int row, int width) =>
        [.. matrix.AsSpan(row * width, width).ToArray().Select(v => (double)v)];
}
