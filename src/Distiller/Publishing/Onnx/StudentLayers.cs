using KdServing.Contracts;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Publishing.Onnx;

/// <summary>A student's formulas (see <see cref="DenseMlp"/>, <see cref="DenseTwoTower"/>) as ONNX nodes, whatever graph they go into.</summary>
internal static class StudentLayers
{
    /// <returns>user_part [U, UserPartWidth].</returns>
    public static string AddUserEncoder(OnnxGraph graph, DenseStudent student, string user) => student switch
    {
        DenseMlp mlp => graph.Affine(user, mlp.User),
        DenseTwoTower towers => AddLayers(graph, towers.UserTower, user),
        _ => throw UnknownFamily(student),
    };

    /// <returns>item_vector [N, ItemVectorWidth].</returns>
    public static string AddItemEncoder(OnnxGraph graph, DenseStudent student, string item) => student switch
    {
        DenseMlp mlp => graph.Affine(item, mlp.Item),
        DenseTwoTower towers => AddLayers(graph, towers.ItemTower, item),
        _ => throw UnknownFamily(student),
    };

    /// <summary>Adds the head with its two outputs, logits and scores [N, T].</summary>
    /// <param name="live">Null when the student has no live features.</param>
    public static void AddHead(OnnxGraph graph, DenseStudent student, string userPart, string rowOf, string itemVector, string? live)
    {
        // [N, D]: each candidate's user.
        var users = graph.Gather(userPart, rowOf);
        var value = student switch
        {
            DenseMlp mlp => AddMlpHead(graph, mlp, users, itemVector, live),
            DenseTwoTower towers => AddTwoTowerHead(graph, towers, users, itemVector, live),
            _ => throw UnknownFamily(student),
        };
        var targets = student.Signature.Targets.Count;
        var logits = graph.Output(value, StudentSignature.Logits, "N", targets);
        graph.Output(graph.Sigmoid(logits), StudentSignature.Scores, "N", targets);
    }

    private static string AddMlpHead(OnnxGraph graph, DenseMlp mlp, string users, string itemVector, string? live)
    {
        var sum = graph.Add(users, itemVector);
        // The third product of the first layer adds onto the sum of the other two: one pass over [N, H] less.
        var h = graph.Relu(live is null ? sum : graph.AffineOnto(live, mlp.Live!, sum));
        foreach (var layer in mlp.Hidden)
            h = graph.Relu(graph.Affine(h, layer));
        return graph.Affine(h, mlp.Output);
    }

    private static string AddTwoTowerHead(OnnxGraph graph, DenseTwoTower towers, string users, string itemVector, string? live)
    {
        var products = graph.Mul(users, itemVector);
        if (live is null)
            return graph.Affine(products, towers.Combine);
        var h = live;
        foreach (var layer in towers.LiveNet.SkipLast(1))
            h = graph.Relu(graph.Affine(h, layer));
        // Both parts end in [N, T]: the last layer adds onto the inner products, its bias folded into theirs.
        var last = towers.LiveNet[^1];
        var inner = graph.Affine(products, towers.Combine with { Bias = AddBiases(towers.Combine.Bias, last.Bias) });
        return graph.AffineOnto(h, last, inner);
    }

    private static string AddLayers(OnnxGraph graph, IReadOnlyList<DenseLayer> layers, string x)
    {
        for (var k = 0; k < layers.Count; k++)
        {
            x = graph.Affine(x, layers[k]);
            if (k < layers.Count - 1)
                x = graph.Relu(x);
        }
        return x;
    }

    private static float[]? AddBiases(float[]? a, float[]? b) => (a, b) switch
    {
        (null, _) => b,
        (_, null) => a,
        _ => [.. a.Zip(b, (x, y) => x + y)],
    };

    private static NotSupportedException UnknownFamily(DenseStudent student) =>
        new($"no ONNX graph for a student of type {student.GetType().Name}");
}
