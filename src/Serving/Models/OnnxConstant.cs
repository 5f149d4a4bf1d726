using System.Text;

namespace KdServing.Serving.Models;

/// <summary>A constant tensor of a graph.</summary>
/// <param name="ElementType">ONNX's number: 1 float32, 7 int64.</param>
/// <param name="Raw">Little-endian.</param>
internal sealed record OnnxConstant(string Name, int ElementType, long[] Shape, byte[] Raw)
{
    /// <param name="tensor">A TensorProto of a file that passed <see cref="OnnxScan"/> or was verified.</param>
    /// <returns>Null when it is not stored as raw bytes.</returns>
    /// <exception cref="FormatException">Not protobuf.</exception>
    public static OnnxConstant? Read(ReadOnlySpan<byte> tensor)
    {
        var reader = new ProtobufReader(tensor);
        var (name, type, raw) = ("", 0, (byte[]?)null);
        var shape = new List<long>();
        while (reader.Read())
        {
            switch (reader.Field)
            {
                case 1 when reader.HasBytes:
                    for (var dims = new ProtobufReader(reader.Bytes); !dims.AtEnd;)
                        shape.Add(checked((long)dims.Varint()));
                    break;
                case 1:
                    shape.Add(checked((long)reader.Number));
                    break;
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
        return raw is null ? null : new(name, type, [.. shape], raw);
    }
}
