namespace KdServing.Serving.Models;

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
                if (graph.Field == 5 && OnnxConstant.Read(graph.Bytes) is { } constant)
                    constants[constant.Name] = constant;
            }
        }
        return constants;
    }
}
