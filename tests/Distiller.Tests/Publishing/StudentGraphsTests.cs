using KdServing.Contracts;
using KdServing.Distiller.Publishing.Onnx;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Distiller.Tests.Publishing;

public sealed class StudentGraphsTests
{
    [Theory]
    [InlineData("mlp")]
    [InlineData("two_tower")]
    public void Tensors_have_the_names_and_axes_of_the_signature(string family)
    {
        using var sample = new SampleStudent(family);
        var s = sample.Dense.Signature;

        AssertTensors(StudentGraphs.UserEncoder(sample.Dense), $"user[U,{s.UserWidth}]", $"user_part[U,{s.UserPartWidth}]");
        AssertTensors(StudentGraphs.ItemEncoder(sample.Dense), $"item[N,{s.ItemWidth}]", $"item_vector[N,{s.ItemVectorWidth}]");
        AssertTensors(StudentGraphs.Head(sample.Dense),
            $"item_vector[N,{s.ItemVectorWidth}] live[N,{s.LiveWidth}] row_of[N] user_part[U,{s.UserPartWidth}]", "logits[N,2] scores[N,2]");
    }

    [Fact]
    public void A_student_without_live_features_has_no_live_input()
    {
        using var sample = new SampleStudent("mlp", schema: VersionWriterTests.OneTargetNoLive);

        AssertTensors(StudentGraphs.Head(sample.Dense), "item_vector[N,32] row_of[N] user_part[U,32]", "logits[N,1] scores[N,1]");
    }

    [Fact]
    public void The_portable_graph_takes_rows_and_values_by_feature_name()
    {
        using var sample = new SampleStudent("mlp");

        AssertTensors(Ranker(sample),
            "row_of[N] rows/article[N] rows/hour[U] rows/last_clicks[U,5] rows/seen_before[N] rows/user_id[U] " +
            "value/age_hours[N] value/popularity[N] value/words[N]",
            "logits[N,2] scores[N,2]");
    }

    [Fact]
    public void Candidates_of_several_users_may_come_in_any_order()
    {
        using var sample = new SampleStudent("two_tower");
        using var head = new InferenceSession(Bytes(StudentGraphs.Head(sample.Dense)));
        var random = new Random(3);
        var (users, items, live) = (Values(2 * 32), Values(3 * 32), Values(3 * sample.Schema.Live.Width));

        var mixed = Run(head, users, [1, 0, 1], items, live);
        var first = Run(head, users[..32], [0], items[32..64], live[sample.Schema.Live.Width..(2 * sample.Schema.Live.Width)]);

        Assert.Equal(first.Logits, mixed.Logits[2..4]);
        Assert.All(mixed.Logits.Zip(mixed.Scores), pair => Assert.Equal(1 / (1 + MathF.Exp(-pair.First)), pair.Second, 1e-6f));

        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)random.NextDouble() - 0.5f)];
    }

    [Fact]
    public void The_file_with_streamed_tables_is_one_plain_message()
    {
        using var sample = new SampleStudent("mlp");
        var model = RankerGraph.WithoutTables(sample.Dense, sample.Schema);
        EmbeddingTable[] tables = [.. RankerGraph.Tables(sample.Schema).Select(t => sample.Tables[t])];
        using var stream = new MemoryStream();

        OnnxFile.Write(stream, model, tables);

        Assert.Equal(stream.Length, OnnxFile.Size(model, tables));
        var parsed = ModelProto.Parser.ParseFrom(stream.ToArray());
        var article = parsed.Graph.Initializer.Single(t => t.Name == "table/article");
        Assert.Equal([3000, 16], article.Dims);
        Assert.Equal(sample.Tables[1][2999].ToArray(), System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(article.RawData.Span)[^16..].ToArray());
        foreach (var table in tables)
            parsed.Graph.Initializer.Remove(parsed.Graph.Initializer.Single(t => t.Name == RankerGraph.TableName(table.Shape)));
        Assert.Equal(model, parsed);
    }

    private static (float[] Logits, float[] Scores) Run(InferenceSession head, float[] users, long[] rowOf, float[] items, float[] live)
    {
        using var run = new RunOptions();
        using var user = OrtValue.CreateTensorValueFromMemory(users, [users.Length / 32, 32]);
        using var row = OrtValue.CreateTensorValueFromMemory(rowOf, [rowOf.Length]);
        using var item = OrtValue.CreateTensorValueFromMemory(items, [rowOf.Length, 32]);
        using var lives = OrtValue.CreateTensorValueFromMemory(live, [rowOf.Length, live.Length / rowOf.Length]);
        using var results = head.Run(run, ["user_part", "row_of", "item_vector", "live"], [user, row, item, lives], ["logits", "scores"]);
        return (results[0].GetTensorDataAsSpan<float>().ToArray(), results[1].GetTensorDataAsSpan<float>().ToArray());
    }

    private static byte[] Bytes(ModelProto model)
    {
        using var stream = new MemoryStream();
        OnnxFile.Write(stream, model, []);
        return stream.ToArray();
    }

    private static ModelProto Ranker(SampleStudent sample)
    {
        var model = RankerGraph.WithoutTables(sample.Dense, sample.Schema);
        using var stream = new MemoryStream();
        OnnxFile.Write(stream, model, [.. RankerGraph.Tables(sample.Schema).Select(t => sample.Tables[t])]);
        return ModelProto.Parser.ParseFrom(stream.ToArray());
    }

    // What ONNX Runtime makes of the graph, not what we think we wrote.
    private static void AssertTensors(ModelProto model, string inputs, string outputs)
    {
        using var session = new InferenceSession(Bytes(model));
        Assert.Equal(inputs, Text(session.InputMetadata));
        Assert.Equal(outputs, Text(session.OutputMetadata));

        static string Text(IReadOnlyDictionary<string, NodeMetadata> tensors) => string.Join(' ', tensors.OrderBy(t => t.Key, StringComparer.Ordinal)
            .Select(t => $"{t.Key}[{string.Join(',', t.Value.Dimensions.Zip(t.Value.SymbolicDimensions, (length, symbol) => symbol is "" ? $"{length}" : symbol))}]"));
    }
}
