using System.Runtime.InteropServices;
using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>One affine layer, y = W·x + b, as the graph file holds it.</summary>
/// <param name="Weight">Row-major [<paramref name="Outputs"/>, <paramref name="Inputs"/>].</param>
/// <param name="Bias">[<paramref name="Outputs"/>]; empty: none.</param>
internal sealed record AffineWeights(float[] Weight, float[] Bias, int Inputs, int Outputs);

/// <summary>The nodes and constants of one graph file, by the names of the values they make; read once, when a version is loaded.</summary>
/// <remarks>Expects a file that <see cref="OnnxScan"/> has let through. Field numbers are those of onnx.proto3.</remarks>
internal sealed class DenseGraph
{
    private readonly Dictionary<string, Node> nodes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Constant> constants = new(StringComparer.Ordinal);

    /// <exception cref="FormatException">Not an ONNX file.</exception>
    public DenseGraph(ReadOnlySpan<byte> file)
    {
        for (var model = new ProtobufReader(file); model.Read();)
        {
            if (model.Field != 7)
                continue;
            for (var graph = new ProtobufReader(model.Bytes); graph.Read();)
            {
                if (graph.Field == 1)
                    AddNode(graph.Bytes);
                else if (graph.Field == 5)
                    AddConstant(graph.Bytes);
            }
        }
    }

    /// <summary>The node that makes a value, if it is one of this operator and so many inputs.</summary>
    public Node? Find(string value, string operation, int minInputs, int maxInputs) =>
        nodes.GetValueOrDefault(value) is { } node && node.Operation == operation
            && node.Inputs.Count >= minInputs && node.Inputs.Count <= maxInputs ? node : null;

    /// <summary>The layers, relu between them, that lead from one value to another; null when something else does.</summary>
    public List<AffineWeights>? Chain(string from, string to)
    {
        var layers = new List<AffineWeights>();
        while (Affine(to) is { } last)
        {
            layers.Insert(0, last.Layer);
            if (last.Input == from)
                return layers;
            if (Find(last.Input, "Relu", 1, 1) is not { } relu)
                return null;
            to = relu.Inputs[0];
        }
        return null;
    }

    /// <summary>The layer that makes a value: y = x·Wᵀ + b, the bias a constant or absent.</summary>
    public (string Input, AffineWeights Layer)? Affine(string value)
    {
        if (Gemm(value) is not { } gemm || Weight(gemm) is not { } weight)
            return null;
        if (gemm.Inputs.Count == 2)
            return (gemm.Inputs[0], weight);
        return constants.GetValueOrDefault(gemm.Inputs[2]) is { Floats: { } bias } && bias.Length == weight.Outputs
            ? (gemm.Inputs[0], weight with { Bias = bias })
            : null;
    }

    /// <summary>The layer that makes a value by adding onto another one: y = x·Wᵀ + addend.</summary>
    public (string Input, AffineWeights Layer, string Addend)? AffineOnto(string value) =>
        Gemm(value) is { Inputs.Count: 3 } gemm && Weight(gemm) is { } weight && !constants.ContainsKey(gemm.Inputs[2])
            ? (gemm.Inputs[0], weight, gemm.Inputs[2])
            : null;

    private Node? Gemm(string value) => Find(value, "Gemm", 2, 3) is { IsTransposedOnly: true } gemm ? gemm : null;

    private AffineWeights? Weight(Node gemm) => constants.GetValueOrDefault(gemm.Inputs[1]) is { Floats: { } weight, Shape: [var outputs, var inputs] }
        ? new(weight, [], checked((int)inputs), checked((int)outputs))
        : null;

    private void AddNode(ReadOnlySpan<byte> message)
    {
        var (inputs, outputs, operation, attributes) = (new List<string>(), new List<string>(), "", new Dictionary<string, long>());
        for (var reader = new ProtobufReader(message); reader.Read();)
        {
            switch (reader.Field)
            {
                case 1:
                    inputs.Add(OnnxScan.Text(reader.Bytes));
                    break;
                case 2:
                    outputs.Add(OnnxScan.Text(reader.Bytes));
                    break;
                case 4:
                    operation = OnnxScan.Text(reader.Bytes);
                    break;
                case 5:
                    var (name, value) = Attribute(reader.Bytes);
                    attributes[name] = value;
                    break;
            }
        }
        foreach (var output in outputs)
            nodes[output] = new(operation, inputs, attributes);
    }

    private static (string Name, long Value) Attribute(ReadOnlySpan<byte> message)
    {
        var (name, value) = ("", long.MinValue);
        for (var reader = new ProtobufReader(message); reader.Read();)
        {
            if (reader.Field == 1)
                name = OnnxScan.Text(reader.Bytes);
            else if (reader.Field == 3)
                value = (long)reader.Number;
        }
        return (name, value);
    }

    private void AddConstant(ReadOnlySpan<byte> message)
    {
        var (name, shape, type) = ("", new List<long>(), 0UL);
        float[]? floats = null;
        for (var reader = new ProtobufReader(message); reader.Read();)
        {
            switch (reader.Field)
            {
                case 1 when reader.HasBytes:
                    for (var dims = new ProtobufReader(reader.Bytes); !dims.AtEnd;)
                        shape.Add((long)dims.Varint());
                    break;
                case 1:
                    shape.Add((long)reader.Number);
                    break;
                case 2:
                    type = reader.Number;
                    break;
                case 4 or 9: // float_data, raw_data: both little-endian float32
                    floats = MemoryMarshal.Cast<byte, float>(reader.Bytes).ToArray();
                    break;
                case 8:
                    name = OnnxScan.Text(reader.Bytes);
                    break;
            }
        }
        const ulong float32 = 1;
        constants[name] = new(type == float32 ? floats : null, [.. shape]);
    }

    /// <summary>One operator of the graph.</summary>
    internal sealed record Node(string Operation, IReadOnlyList<string> Inputs, IReadOnlyDictionary<string, long> Attributes)
    {
        /// <summary>The second operand is transposed, and nothing else is out of the ordinary.</summary>
        public bool IsTransposedOnly => Attributes is { Count: 1 } && Attributes.GetValueOrDefault("transB") == 1;
    }

    private sealed record Constant(float[]? Floats, long[] Shape);
}
