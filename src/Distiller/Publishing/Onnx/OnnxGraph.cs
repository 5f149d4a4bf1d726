using System.Globalization;
using System.Runtime.InteropServices;
using Google.Protobuf;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Publishing.Onnx;

/// <summary>Builds one ONNX graph, node by node; a value is known by its name.</summary>
/// <remarks>
/// Opset 17, IR version 8. Only operators with kernels in every ONNX Runtime build. An affine layer is one <c>Gemm</c> with
/// <c>transB = 1</c>: it takes torch's [outputs, inputs] weights as they are (the runtime packs them once when it opens the
/// graph) and is fused with the <c>Relu</c> that follows.
/// </remarks>
internal sealed class OnnxGraph(string name)
{
    private const int IrVersion = 8;
    private const int Opset = 17;

    private readonly GraphProto graph = new() { Name = name };

    public string FloatInput(string input, params ReadOnlySpan<Axis> shape) => Input(input, TensorProto.Types.DataType.Float, shape);

    public string Int64Input(string input, params ReadOnlySpan<Axis> shape) => Input(input, TensorProto.Types.DataType.Int64, shape);

    /// <summary>Names the value a node has just made and gives it to the outside.</summary>
    public string Output(string value, string output, params ReadOnlySpan<Axis> shape)
    {
        var node = graph.Node.Last(n => n.Output[0] == value);
        node.Output[0] = output;
        graph.Output.Add(Info(output, TensorProto.Types.DataType.Float, shape));
        return output;
    }

    /// <summary>x·Wᵀ + bias.</summary>
    public string Affine(string x, DenseLayer layer)
    {
        var weight = Weight(layer);
        return layer.Bias is null
            ? Gemm(x, weight)
            : Gemm(x, weight, Constant($"bias_{graph.Initializer.Count}", layer.Bias, layer.Outputs));
    }

    /// <summary>x·Wᵀ + <paramref name="addend"/> [rows, outputs]; the layer's bias must be in the addend already.</summary>
    public string AffineOnto(string x, DenseLayer layer, string addend) => Gemm(x, Weight(layer), addend);

    public string Relu(string x) => Node("Relu", [x]);

    public string Sigmoid(string x) => Node("Sigmoid", [x]);

    public string Add(string x, string y) => Node("Add", [x, y]);

    public string Mul(string x, string y) => Node("Mul", [x, y]);

    public string Div(string x, string y) => Node("Div", [x, y]);

    public string Max(string x, string y) => Node("Max", [x, y]);

    public string Greater(string x, string y) => Node("Greater", [x, y]);

    /// <summary>Rows of <paramref name="table"/>; negative numbers count from the end.</summary>
    public string Gather(string table, string rows) => Node("Gather", [table, rows], ("axis", 0));

    public string Concat(IEnumerable<string> parts) => Node("Concat", parts, ("axis", 1));

    public string ToFloat(string x) => Node("Cast", [x], ("to", (long)TensorProto.Types.DataType.Float));

    public string Unsqueeze(string x, long axis) => Node("Unsqueeze", [x, Constant([axis])]);

    public string SumOverAxis(string x, long axis, bool keepAxis) =>
        Node("ReduceSum", [x, Constant([axis])], ("keepdims", keepAxis ? 1 : 0));

    public string Constant(ReadOnlySpan<long> values)
    {
        var tensor = new TensorProto
        {
            Name = $"int64_{graph.Initializer.Count}",
            DataType = TensorProto.Types.DataType.Int64,
            Dims = { values.Length },
            RawData = ByteString.CopyFrom(MemoryMarshal.AsBytes(values)),
        };
        graph.Initializer.Add(tensor);
        return tensor.Name;
    }

    public string Constant(string constant, ReadOnlySpan<float> values, params ReadOnlySpan<int> shape)
    {
        var tensor = new TensorProto
        {
            Name = constant,
            DataType = TensorProto.Types.DataType.Float,
            RawData = ByteString.CopyFrom(MemoryMarshal.AsBytes(values)),
        };
        foreach (var length in shape)
            tensor.Dims.Add(length);
        graph.Initializer.Add(tensor);
        return tensor.Name;
    }

    public ModelProto ToModel() => new()
    {
        IrVersion = IrVersion,
        ProducerName = "KdServing",
        OpsetImport = { new OperatorSetIdProto { Version = Opset } },
        Graph = graph,
    };

    private string Weight(DenseLayer layer) =>
        Constant($"weight_{graph.Initializer.Count}", layer.Weight, layer.Outputs, layer.Inputs);

    private string Gemm(params string[] inputs) => Node("Gemm", inputs, ("transB", 1));

    private string Node(string operation, IEnumerable<string> inputs, params ReadOnlySpan<(string Name, long Value)> attributes)
    {
        var number = graph.Node.Count.ToString(CultureInfo.InvariantCulture);
        var node = new NodeProto { OpType = operation, Name = $"{operation}_{number}", Output = { $"value_{number}" } };
        node.Input.AddRange(inputs);
        foreach (var (attribute, value) in attributes)
        {
            node.Attribute.Add(new AttributeProto
            {
                Name = attribute,
                I = value,
                Type = AttributeProto.Types.AttributeType.Int,
            });
        }
        graph.Node.Add(node);
        return node.Output[0];
    }

    private string Input(string input, TensorProto.Types.DataType type, ReadOnlySpan<Axis> shape)
    {
        graph.Input.Add(Info(input, type, shape));
        return input;
    }

    private static ValueInfoProto Info(string value, TensorProto.Types.DataType type, ReadOnlySpan<Axis> shape)
    {
        var dimensions = new TensorShapeProto();
        foreach (var axis in shape)
        {
            dimensions.Dim.Add(axis.Symbol is { } symbol
                ? new TensorShapeProto.Types.Dimension { DimParam = symbol }
                : new TensorShapeProto.Types.Dimension { DimValue = axis.Length });
        }
        return new() { Name = value, Type = new() { TensorType = new() { ElemType = type, Shape = dimensions } } };
    }

    /// <summary>Length of one axis: a number, or a name for one that varies from run to run.</summary>
    public readonly record struct Axis(string? Symbol, long Length)
    {
        public static implicit operator Axis(string symbol) => new(symbol, 0);

        public static implicit operator Axis(int length) => new(null, length);
    }
}
