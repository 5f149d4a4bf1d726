using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Accelerators;

/// <summary>A version's graphs and the look-up of its embedding rows as one graph, whose weights and tables are inputs.</summary>
/// <remarks>
/// <code>
/// rows of a segment [features, N] → Transpose → Gather(arena/width) → Flatten → [N, floats] ┐
/// floats of a segment [N, floats] ──────────────────────────────────────────────────────────┴ Concat → item, live
/// user [users, ·] → user encoder ┐
/// item → item encoder ───────────┴ head → logits, scores
/// </code>
/// With known item vectors, those are an input in place of the item's features and its encoder.
/// Versions of one student have the same model: one session computes them all, and a refresh opens none. Tables of one width lie one after
/// another in one arena, so that neighbouring features are looked up together.
/// </remarks>
/// <param name="Model">An ONNX file.</param>
/// <param name="Constants">This version's weights, by input name.</param>
/// <param name="Segments">What a request's candidates bring.</param>
/// <param name="Arenas">Of the tables that candidates read.</param>
/// <param name="VectorWidth">Floats of the item vectors it takes; 0: it makes them.</param>
internal sealed record DeviceGraph(byte[] Model, IReadOnlyList<OnnxConstant> Constants, IReadOnlyList<DeviceSegment> Segments, IReadOnlyList<TableArena> Arenas, int VectorWidth)
{
    private const int Float = 1;
    private const int Int32 = 6;
    private const int Int64 = 7;
    // Of the files.
    private const int ItemEncoder = 1;

    // Names the exporter and the server agree on; all others are a part's own.
    private static readonly HashSet<string> Shared = new(StringComparer.Ordinal)
    {
        StudentSignature.User, StudentSignature.UserPart, StudentSignature.Item, StudentSignature.ItemVector,
        StudentSignature.RowOf, StudentSignature.Live, StudentSignature.Logits, StudentSignature.Scores,
    };

    private readonly HashSet<string> inputs = [.. Constants.Select(c => c.Name), .. Arenas.Select(a => a.Name)];

    /// <summary>Equal for versions that one session computes.</summary>
    public string Shape { get; } = Convert.ToHexString(SHA256.HashData([.. Model, .. Encoding.UTF8.GetBytes(string.Join(';', Arenas))]));

    /// <summary>Whether it takes an input of a version's own.</summary>
    public bool Takes(string input) => inputs.Contains(input);

    /// <param name="files">User encoder, item encoder, head; each has passed <see cref="OnnxScan"/>.</param>
    /// <param name="takesVectors">Item vectors are known.</param>
    /// <returns>Null when a graph can not be taken apart; the version is then scored by the processor.</returns>
    public static DeviceGraph? Of(IReadOnlyList<byte[]> files, FeatureSchema schema, StudentSignature signature, bool takesVectors)
    {
        var parts = files.Select(f => WeightlessGraph.Of(f)).ToList();
        if (parts.Contains(null) || parts.Select(p => Header(p!.Model)).Distinct().Count() != 1)
            return null;
        List<DeviceSegment> item = takesVectors ? [] : [.. DeviceSegment.Of(schema.Item, 0)];
        List<DeviceSegment> live = [.. DeviceSegment.Of(schema.Live, schema.Item.Features.Count)];
        var arenas = TableArena.Of(schema).Where(a => item.Concat(live).Any(s => s.TableWidth == a.Width)).ToList();
        var constants = new List<OnnxConstant>();
        var graph = OnnxMessages.Message(g =>
        {
            OnnxMessages.Write(g, 2, "device"); // ONNX asks for a name
            WriteAssembly(g, item, StudentSignature.Item);
            WriteAssembly(g, live, StudentSignature.Live);
            for (var p = 0; p < parts.Count; p++)
            {
                if (!takesVectors || p != ItemEncoder)
                    WritePart(g, parts[p]!, $"{p}:", constants);
            }
            if (takesVectors)
                WriteInput(g, StudentSignature.ItemVector, Float, "N", signature.ItemVectorWidth);
            foreach (var arena in arenas)
                WriteInput(g, arena.Name, Float, arena.Rows, arena.Width);
            foreach (var segment in item.Concat(live))
                WriteInput(g, segment.Name, segment.IsRows ? Int32 : Float, segment.IsRows ? [segment.Columns, "N"] : ["N", segment.Width]);
            WriteInput(g, StudentSignature.User, Float, "U", signature.UserWidth);
            WriteInput(g, StudentSignature.RowOf, Int64, "N");
            foreach (var output in (string[])[StudentSignature.Logits, StudentSignature.Scores])
                OnnxMessages.Write(g, 12, OnnxMessages.ValueInfo(output, Float, "N", signature.Targets.Count));
        });
        var model = OnnxMessages.Message(m =>
        {
            CopyHeader(m, parts[0]!.Model);
            OnnxMessages.Write(m, 7, graph);
        });
        return new(model, constants, [.. item, .. live], arenas, takesVectors ? signature.ItemVectorWidth : 0);
    }

    // Of a group's segments the matrix that a part takes.
    private static void WriteAssembly(CodedOutputStream graph, List<DeviceSegment> segments, string matrix)
    {
        var pieces = new List<string>();
        foreach (var segment in segments)
        {
            var name = segment.Name;
            pieces.Add(segment.IsRows ? name + "/looked_up" : name);
            if (!segment.IsRows)
                continue;
            OnnxMessages.Write(graph, 1, OnnxMessages.Node("Transpose", [name], name + "/turned", OnnxMessages.Attribute("perm", [1, 0])));
            OnnxMessages.Write(graph, 1, OnnxMessages.Node("Gather", [TableArena.NameOf(segment.TableWidth), name + "/turned"], name + "/rows", OnnxMessages.Attribute("axis", 0)));
            OnnxMessages.Write(graph, 1, OnnxMessages.Node("Flatten", [name + "/rows"], name + "/looked_up", OnnxMessages.Attribute("axis", 1)));
        }
        if (pieces.Count > 0)
            OnnxMessages.Write(graph, 1, OnnxMessages.Node("Concat", pieces, matrix, OnnxMessages.Attribute("axis", 1)));
    }

    private static void WritePart(CodedOutputStream graph, WeightlessGraph part, string prefix, List<OnnxConstant> constants)
    {
        foreach (var constant in part.Constants)
        {
            var named = constant with { Name = prefix + constant.Name };
            constants.Add(named);
            WriteInput(graph, named.Name, named.ElementType, [.. named.Shape.Select(d => (object)d)]);
        }
        var model = new ProtobufReader(part.Model);
        while (model.Read())
        {
            if (model.Field != 7)
                continue;
            var reader = new ProtobufReader(model.Bytes);
            while (reader.Read())
            {
                if (reader.Field == 1)
                    OnnxMessages.Write(graph, 1, Renamed(reader.Bytes, prefix));
            }
        }
    }

    // A node with its inputs (1), outputs (2) and name (3) made a part's own.
    private static byte[] Renamed(ReadOnlySpan<byte> node, string prefix)
    {
        using var memory = new MemoryStream();
        using var stream = new CodedOutputStream(memory, leaveOpen: true);
        var reader = new ProtobufReader(node);
        while (reader.Read())
        {
            if (reader.Field is 1 or 2 or 3)
            {
                var name = Encoding.UTF8.GetString(reader.Bytes);
                OnnxMessages.Write(stream, reader.Field, name.Length == 0 || Shared.Contains(name) ? name : prefix + name);
            }
            else
                OnnxMessages.Write(stream, reader.Field, reader.Bytes);
        }
        stream.Flush();
        return memory.ToArray();
    }

    private static void WriteInput(CodedOutputStream graph, string name, int elementType, params ReadOnlySpan<object> shape) =>
        OnnxMessages.Write(graph, 11, OnnxMessages.ValueInfo(name, elementType, shape));

    // ir_version 1 and opset_import 8: what the parts must have in common.
    private static string Header(byte[] model) => Convert.ToHexString(OnnxMessages.Message(m => CopyHeader(m, model)));

    private static void CopyHeader(CodedOutputStream to, byte[] model)
    {
        var reader = new ProtobufReader(model);
        while (reader.Read())
        {
            if (reader.Field == 1)
                OnnxMessages.Write(to, 1, reader.Number);
            else if (reader.Field == 8)
                OnnxMessages.Write(to, 8, reader.Bytes);
        }
    }
}
