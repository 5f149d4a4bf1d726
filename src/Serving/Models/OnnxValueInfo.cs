namespace KdServing.Serving.Models;

/// <summary>Reads what a graph file says of one of its inputs or outputs.</summary>
internal static class OnnxValueInfo
{
    private const int DynamicSize = -1;

    /// <exception cref="FormatException">Not a tensor of one or two dimensions.</exception>
    public static GraphTensor Read(ReadOnlySpan<byte> valueInfo)
    {
        var reader = new ProtobufReader(valueInfo);
        var name = "";
        GraphTensor? tensor = null;
        while (reader.Read())
        {
            if (reader.Field == 1)
                name = OnnxScan.Text(reader.Bytes);
            else if (reader.Field == 2)
                tensor = Type(reader.Bytes);
        }
        return tensor is null ? throw new FormatException($"'{name}' has no type") : tensor with { Name = name };
    }

    private static GraphTensor Type(ReadOnlySpan<byte> type)
    {
        var reader = new ProtobufReader(type);
        GraphTensor? tensor = null;
        while (reader.Read())
        {
            // TypeProto.tensor_type; sequences, maps and optionals have other numbers.
            if (reader.Field == 1)
                tensor = TensorType(reader.Bytes);
            else if (reader.Field != 6)
                throw new FormatException("an input or output is not a tensor");
        }
        return tensor ?? throw new FormatException("an input or output has no tensor type");
    }

    private static GraphTensor TensorType(ReadOnlySpan<byte> tensor)
    {
        var reader = new ProtobufReader(tensor);
        var elementType = 0;
        var sizes = new List<int>();
        while (reader.Read())
        {
            if (reader.Field == 1)
                elementType = checked((int)reader.Number);
            else if (reader.Field == 2)
                Shape(reader.Bytes, sizes);
        }
        return sizes.Count switch
        {
            1 => new("", elementType, null),
            2 => new("", elementType, sizes[1]),
            _ => throw new FormatException($"an input or output has {sizes.Count} dimensions"),
        };
    }

    private static void Shape(ReadOnlySpan<byte> shape, List<int> sizes)
    {
        var reader = new ProtobufReader(shape);
        while (reader.Read())
        {
            if (reader.Field != 1)
                continue;
            var size = DynamicSize;
            for (var dimension = new ProtobufReader(reader.Bytes); dimension.Read();)
            {
                if (dimension.Field == 1)
                    size = checked((int)dimension.Number);
            }
            sizes.Add(size);
        }
    }
}
