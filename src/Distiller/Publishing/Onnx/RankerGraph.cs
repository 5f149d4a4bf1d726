using KdServing.Contracts;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Publishing.Onnx;

/// <summary><c>ranker.onnx</c>: the whole model with its tables in one graph, for any ONNX runtime; see <see cref="StudentSignature"/>.</summary>
public static class RankerGraph
{
    /// <summary>Input of a categorical or sequence feature: table rows.</summary>
    public static string RowsInput(Feature feature) => $"rows/{feature.Name}";

    /// <summary>Input of a numeric feature: normalised values.</summary>
    public static string ValueInput(Feature feature) => $"value/{feature.Name}";

    /// <summary>Tables the student reads; those of privileged features stay with the teacher.</summary>
    public static IReadOnlyList<int> Tables(FeatureSchema schema) =>
        [.. new[] { schema.User, schema.Item, schema.Live }.SelectMany(g => g.Features)
            .Where(f => f.Table >= 0).Select(f => f.Table).Distinct().Order()];

    /// <summary>Name of a table's initializer.</summary>
    public static string TableName(TableShape table) => $"table/{table.Name}";

    /// <summary>The graph without the tables themselves: <see cref="OnnxFile"/> appends them, row by row.</summary>
    public static ModelProto WithoutTables(DenseStudent student, FeatureSchema schema)
    {
        var graph = new OnnxGraph("ranker");
        var user = AddGroup(graph, schema, schema.User, "U");
        var item = AddGroup(graph, schema, schema.Item, "N");
        var live = schema.Live.Width == 0 ? null : AddGroup(graph, schema, schema.Live, "N");
        var rowOf = graph.Int64Input(StudentSignature.RowOf, "N");
        StudentLayers.AddHead(graph, student, StudentLayers.AddUserEncoder(graph, student, user), rowOf,
            StudentLayers.AddItemEncoder(graph, student, item), live);
        return graph.ToModel();
    }

    private static string AddGroup(OnnxGraph graph, FeatureSchema schema, FeatureGroup group, string rows) =>
        graph.Concat(group.Features.Select(f => AddFeature(graph, schema, f, rows)).ToList());

    private static string AddFeature(OnnxGraph graph, FeatureSchema schema, Feature feature, string rows)
    {
        if (feature.Kind == FeatureKind.Numeric)
            return graph.Unsqueeze(graph.FloatInput(ValueInput(feature), rows), axis: 1);
        var table = TableName(schema.Tables[feature.Table]);
        if (feature.Kind != FeatureKind.Sequence)
            return graph.Gather(table, graph.Int64Input(RowsInput(feature), rows));

        // Padding (-1) gathers some row and is masked out of the sum: mean = Σ mask·row / max(1, Σ mask).
        var ids = graph.Int64Input(RowsInput(feature), rows, feature.MaxLength);
        var mask = graph.ToFloat(graph.Greater(ids, graph.Constant([-1])));
        var sum = graph.SumOverAxis(graph.Mul(graph.Gather(table, ids), graph.Unsqueeze(mask, axis: 2)), axis: 1, keepAxis: false);
        var count = graph.SumOverAxis(mask, axis: 1, keepAxis: true);
        return graph.Div(sum, graph.Max(count, graph.Constant($"one/{feature.Name}", [1f], 1)));
    }
}
