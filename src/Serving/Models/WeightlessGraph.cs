using System.Text;
using Google.Protobuf;

namespace KdServing.Serving.Models;

/// <summary>A graph taken apart: what it computes, as a model whose constants are inputs, and the constants.</summary>
/// <remarks>
/// Versions of one student differ in their constants alone: the model's bytes are then the same, and one session computes them all.
/// Field numbers are those of onnx.proto3.
/// </remarks>
/// <param name="Model">An ONNX file. Names people gave (producer, comments) are left out.</param>
internal sealed record WeightlessGraph(byte[] Model, IReadOnlyList<OnnxConstant> Constants)
{
    private const int IrVersion = 1;
    private const int Graph = 7;
    private const int Opset = 8;
    private const int Node = 1;
    private const int Initializer = 5;
    private const int Input = 11;
    private const int Output = 12;

    /// <param name="file">Has passed <see cref="OnnxScan"/>.</param>
    /// <returns>Null when a constant is not stored as raw bytes, or two values have one name.</returns>
    public static WeightlessGraph? Of(ReadOnlySpan<byte> file)
    {
        var constants = new List<OnnxConstant>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        var reader = new ProtobufReader(file);
        using var memory = new MemoryStream();
        using var model = new CodedOutputStream(memory, leaveOpen: true);
        while (reader.Read())
        {
            if (reader.Field == IrVersion)
                OnnxMessages.Write(model, IrVersion, reader.Number);
            else if (reader.Field == Opset)
                OnnxMessages.Write(model, Opset, reader.Bytes);
            else if (reader.Field != Graph)
                continue;
            else if (Strip(reader.Bytes, constants, names) is { } graph)
                OnnxMessages.Write(model, Graph, graph);
            else
                return null;
        }
        model.Flush();
        return new(memory.ToArray(), constants);
    }

    private static byte[]? Strip(ReadOnlySpan<byte> message, List<OnnxConstant> constants, HashSet<string> names)
    {
        var reader = new ProtobufReader(message);
        using var memory = new MemoryStream();
        using var graph = new CodedOutputStream(memory, leaveOpen: true);
        OnnxMessages.Write(graph, 2, "g"u8); // ONNX asks for a name
        while (reader.Read())
        {
            if (reader.Field is Node or Input or Output)
                OnnxMessages.Write(graph, reader.Field, reader.Bytes);
            if (reader.Field == Input && !names.Add(NameOf(reader.Bytes)))
                return null;
            if (reader.Field != Initializer)
                continue;
            if (OnnxConstant.Read(reader.Bytes) is not { } constant || !names.Add(constant.Name))
                return null;
            constants.Add(constant);
            OnnxMessages.Write(graph, Input, OnnxMessages.ValueInfo(constant.Name, constant.ElementType, [.. constant.Shape.Select(d => (object)d)]));
        }
        graph.Flush();
        return memory.ToArray();
    }

    private static string NameOf(ReadOnlySpan<byte> valueInfo)
    {
        var reader = new ProtobufReader(valueInfo);
        while (reader.Read())
        {
            if (reader.Field == 1)
                return Encoding.UTF8.GetString(reader.Bytes);
        }
        return "";
    }
}
