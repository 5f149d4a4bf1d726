using System.Text;
using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>
/// Looks through a graph file before ONNX Runtime sees it, and refuses whatever our exporter does not write: other operators,
/// custom domains, subgraphs, functions, data outside the file, other inputs and outputs, tensors of odd sizes.
/// </summary>
/// <remarks>
/// A list of what is allowed, not of what is dangerous: external data has led out of the model's folder before
/// (CVE-2025-51480, CVE-2026-27489), and operators such as Tile and Expand make small files ask for huge memory.
/// Field numbers are those of onnx.proto3, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
/// </remarks>
internal static class OnnxScan
{
    // A dense layer of 8,192 x 8,192; what is larger is no pre-ranking student, and opening it would take the server's memory.
    private const int MaxBytes = 256 << 20;
    private const int MaxNodes = 256;
    private const int MaxConstants = 512;
    private const int MaxRank = 4;
    private const int MinOpset = 13;
    // Of ONNX 1.17. ONNX Runtime itself only warns of an opset it does not know, and a number beyond its int wraps around.
    private const int MaxOpset = 22;

    private static readonly HashSet<string> AllowedOperators = new(StringComparer.Ordinal)
    {
        "Add", "Gather", "Gemm", "Mul", "Relu", "Sigmoid",
    };

    /// <exception cref="ContractException">The file is not a graph this server opens; says why.</exception>
    public static void Require(GraphContract contract, ReadOnlySpan<byte> file)
    {
        if (file.Length > MaxBytes)
            throw Refusal(contract, $"has {file.Length} bytes; {MaxBytes} at most are opened");
        try
        {
            Model(contract, file);
        }
        catch (Exception e) when (e is FormatException or OverflowException)
        {
            throw new ContractException(contract.File, $"is not an ONNX file: {e.Message}");
        }
    }

    private static void Model(GraphContract contract, ReadOnlySpan<byte> file)
    {
        var reader = new ProtobufReader(file);
        var graphs = 0;
        var opset = 0UL;
        while (reader.Read())
        {
            switch (reader.Field)
            {
                case 1 or 2 or 3 or 4 or 5 or 6 or 14: // ir_version, producer, domain, model_version, doc_string, metadata
                    break;
                case 7:
                    graphs++;
                    Graph(contract, reader.Bytes);
                    break;
                case 8:
                    opset = Math.Max(opset, Opset(contract, reader.Bytes));
                    break;
                default: // training_info 20, functions 25, and what later releases add
                    throw Refusal(contract, $"has model field {reader.Field}");
            }
        }
        if (graphs != 1)
            throw Refusal(contract, $"holds {graphs} graphs");
        if (opset is < MinOpset or > MaxOpset)
            throw Refusal(contract, $"asks for opset {opset}; {MinOpset} to {MaxOpset} are read");
    }

    private static ulong Opset(GraphContract contract, ReadOnlySpan<byte> message)
    {
        var reader = new ProtobufReader(message);
        var version = 0UL;
        while (reader.Read())
        {
            if (reader.Field == 1)
                RequireStandardDomain(contract, reader.Bytes);
            else if (reader.Field == 2)
                version = reader.Number;
        }
        return version;
    }

    private static void Graph(GraphContract contract, ReadOnlySpan<byte> message)
    {
        var reader = new ProtobufReader(message);
        var nodes = 0;
        var constants = 0;
        var inputs = new List<GraphTensor>();
        var outputs = new List<GraphTensor>();
        while (reader.Read())
        {
            switch (reader.Field)
            {
                case 1:
                    if (++nodes > MaxNodes)
                        throw Refusal(contract, $"has more than {MaxNodes} nodes");
                    Node(contract, reader.Bytes);
                    break;
                case 2 or 10 or 13: // name, doc_string, value_info
                    break;
                case 5:
                    if (++constants > MaxConstants)
                        throw Refusal(contract, $"has more than {MaxConstants} constants");
                    Initializer(contract, reader.Bytes);
                    break;
                case 11:
                    inputs.Add(OnnxValueInfo.Read(reader.Bytes));
                    break;
                case 12:
                    outputs.Add(OnnxValueInfo.Read(reader.Bytes));
                    break;
                default: // quantization_annotation 14, sparse_initializer 15, metadata 16
                    throw Refusal(contract, $"has graph field {reader.Field}");
            }
        }
        RequireTensors(contract, "inputs", contract.Inputs, inputs);
        RequireTensors(contract, "outputs", contract.Outputs, outputs);
    }

    private static void Node(GraphContract contract, ReadOnlySpan<byte> message)
    {
        var reader = new ProtobufReader(message);
        while (reader.Read())
        {
            switch (reader.Field)
            {
                case 1 or 2 or 3 or 6: // input, output, name, doc_string
                    break;
                case 4:
                    var name = Text(reader.Bytes);
                    if (!AllowedOperators.Contains(name))
                        throw Refusal(contract, $"uses operator '{name}'");
                    break;
                case 5:
                    Attribute(contract, reader.Bytes);
                    break;
                case 7:
                    RequireStandardDomain(contract, reader.Bytes);
                    break;
                default: // overload 8, metadata 9, device configuration 10
                    throw Refusal(contract, $"has node field {reader.Field}");
            }
        }
    }

    private static void Attribute(GraphContract contract, ReadOnlySpan<byte> message)
    {
        var reader = new ProtobufReader(message);
        while (reader.Read())
        {
            // name, f, i, s, floats, ints, strings, doc_string, type: anything else nests tensors, graphs or types.
            if (reader.Field is not (1 or 2 or 3 or 4 or 7 or 8 or 9 or 13 or 20))
                throw Refusal(contract, $"has attribute field {reader.Field}");
        }
    }

    private static void Initializer(GraphContract contract, ReadOnlySpan<byte> message)
    {
        var reader = new ProtobufReader(message);
        var elements = 1L;
        var rank = 0;
        var type = 0UL;
        var stored = 0L;
        while (reader.Read())
        {
            switch (reader.Field)
            {
                case 1 when reader.HasBytes:
                    for (var dims = new ProtobufReader(reader.Bytes); !dims.AtEnd; rank++)
                        elements = Dimension(elements, dims.Varint());
                    break;
                case 1:
                    elements = Dimension(elements, reader.Number);
                    rank++;
                    break;
                case 2:
                    type = reader.Number;
                    break;
                case 4 when reader.HasBytes: // float_data, packed
                    stored += reader.Bytes.Length;
                    break;
                case 7 when reader.HasBytes: // int64_data, packed
                    for (var values = new ProtobufReader(reader.Bytes); !values.AtEnd; stored += sizeof(long))
                        _ = values.Varint();
                    break;
                case 8 or 12: // name, doc_string
                    break;
                case 9: // raw_data
                    stored += reader.Bytes.Length;
                    break;
                case 13 or 14 when reader.HasBytes || reader.Number != 0:
                    throw Refusal(contract, "keeps tensor data outside the file");
                case 14:
                    break;
                default:
                    throw Refusal(contract, $"has tensor field {reader.Field}");
            }
        }
        var size = type switch
        {
            1 => sizeof(float),
            7 => sizeof(long),
            _ => throw Refusal(contract, $"has a tensor of element type {type}"),
        };
        if (rank > MaxRank || stored != checked(elements * size))
            throw Refusal(contract, $"has a tensor whose {stored} bytes do not fit its shape");
    }

    private static long Dimension(long elements, ulong size) => checked(elements * (long)size);

    private static void RequireTensors(GraphContract contract, string kind, IReadOnlyList<GraphTensor> expected, List<GraphTensor> actual)
    {
        if (!expected.OrderBy(t => t.Name, StringComparer.Ordinal).SequenceEqual(actual.OrderBy(t => t.Name, StringComparer.Ordinal)))
            throw Refusal(contract, $"has {kind} {List(actual)}; the signature says {List(expected)}");

        static string List(IEnumerable<GraphTensor> tensors) =>
            string.Join(", ", tensors.Select(t => $"{t.Name} (type {t.ElementType}, width {t.Width?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "none"})"));
    }

    private static void RequireStandardDomain(GraphContract contract, ReadOnlySpan<byte> domain)
    {
        if (!domain.IsEmpty && !domain.SequenceEqual("ai.onnx"u8))
            throw Refusal(contract, $"uses operator domain '{Text(domain)}'");
    }

    // Names come from a file nobody vouches for: cut, and without control characters, before they reach a log.
    internal static string Text(ReadOnlySpan<byte> utf8) =>
        new([.. Encoding.UTF8.GetString(utf8[..Math.Min(utf8.Length, 64)]).Select(c => char.IsControl(c) ? '?' : c)]);

    private static ContractException Refusal(GraphContract contract, string reason) =>
        new(contract.File, $"{reason}; refused before it is opened");
}
