using System.Text;

namespace KdServing.Serving.Models;

/// <summary>A constant tensor of a graph.</summary>
/// <param name="ElementType">ONNX's number: 1 float32, 7 int64.</param>
/// <param name="Raw">Little-endian.</param>
internal sealed record OnnxConstant(int ElementType, byte[] Raw);

/// <summary>Reads the constants of a graph file that passed <see cref="OnnxScan"/> or was verified.</summary>
internal static class OnnxConstants
{
    /// <summary>By name; constants that are not stored as raw bytes are left out.</summary>
    /// <exception cref="FormatException">Not protobuf.</exception>
    public static IReadOnlyDictionary<string, OnnxConstant> Read(ReadOnlySpan<byte> file)
    {
        var constants = new Dictionary<string, OnnxConstant>(StringComparer.Ordinal);
        var model = new ProtobufReader(file);
        while (model.Read())
        {
            if (model.Field != 7)
                continue;
            var graph = new ProtobufReader(model.Bytes);
            while (graph.Read())
            {
                if (graph.Field == 5)
                    Add(graph.Bytes, constants);
            }
        }
        return constants;
    }

    private static void Add(ReadOnlySpan<byte> tensor, Dictionary<string, OnnxConstant> constants)
    {
        var reader = new ProtobufReader(tensor);
        var (name, type, raw) = ("", 0, (byte[]?)null);
        while (reader.Read())
        {
            switch (reader.Field)
            {
                case 2:
                    type = checked((int)reader.Number);
                    break;
                case 8:
                    name = Encoding.UTF8.GetString(reader.Bytes);
                    break;
                case 9:
                    raw = reader.Bytes.ToArray();
                    break;
            }
        }
        if (raw is not null)
            constants[name] = new(type, raw);
    }
}
