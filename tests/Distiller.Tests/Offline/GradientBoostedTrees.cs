namespace KdServing.Distiller.Tests.Offline;

/// <summary>A small gradient-boosted teacher: regression trees on the gradient of the log loss (Friedman 2001), leaves by one Newton step.</summary>
internal sealed class GradientBoostedTrees
{
    private const double Shrinkage = 0.2;
    private const int MinLeaf = 20;

    private readonly List<Node> trees = [];

    /// <param name="rows">[rows][features].</param>
    /// <param name="labels">0 or 1, [rows].</param>
    public GradientBoostedTrees(float[][] rows, int[] labels, int count, int depth)
    {
        var logits = new double[rows.Length];
        for (var t = 0; t < count; t++)
        {
            var probabilities = logits.Select(z => 1 / (1 + Math.Exp(-z))).ToArray();
            var gradient = labels.Zip(probabilities, (y, p) => y - p).ToArray();
            var curvature = probabilities.Select(p => p * (1 - p)).ToArray();
            trees.Add(Grow(rows, [.. Enumerable.Range(0, rows.Length)], gradient, curvature, depth));
            for (var r = 0; r < rows.Length; r++)
                logits[r] += Shrinkage * trees[^1].Value(rows[r]);
        }
    }

    public double Logit(float[] row) => trees.Sum(t => Shrinkage * t.Value(row));

    private static Node Grow(float[][] rows, int[] members, double[] gradient, double[] curvature, int depth)
    {
        var (sum, weight) = (members.Sum(m => gradient[m]), members.Sum(m => curvature[m]));
        var leaf = new Node(-1, 0, sum / (weight + 1), null, null);
        if (depth == 0)
            return leaf;
        var best = (Gain: 1e-6, Feature: -1, Threshold: 0f);
        for (var f = 0; f < rows[0].Length; f++)
        {
            var order = members.OrderBy(m => rows[m][f]).ToArray();
            var (left, leftWeight) = (0.0, 0.0);
            for (var i = 0; i + 1 < order.Length; i++)
            {
                left += gradient[order[i]];
                leftWeight += curvature[order[i]];
                if (i + 1 < MinLeaf || order.Length - i - 1 < MinLeaf || rows[order[i]][f] == rows[order[i + 1]][f])
                    continue;
                var gain = left * left / (leftWeight + 1) + (sum - left) * (sum - left) / (weight - leftWeight + 1) - sum * sum / (weight + 1);
                if (gain > best.Gain)
                    best = (gain, f, (rows[order[i]][f] + rows[order[i + 1]][f]) / 2);
            }
        }
        if (best.Feature < 0)
            return leaf;
        return new(best.Feature, best.Threshold, 0,
            Grow(rows, [.. members.Where(m => rows[m][best.Feature] < best.Threshold)], gradient, curvature, depth - 1),
            Grow(rows, [.. members.Where(m => rows[m][best.Feature] >= best.Threshold)], gradient, curvature, depth - 1));
    }

    private sealed record Node(int Feature, float Threshold, double Leaf, Node? Below, Node? Above)
    {
        public double Value(float[] row) => Feature < 0 ? Leaf : row[Feature] < Threshold ? Below!.Value(row) : Above!.Value(row);
    }
}
