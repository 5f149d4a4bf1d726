namespace TorchSharp;

/// <summary>Writing tensors to streams and reading them back: type, shape, raw little-endian elements.</summary>
public static partial class TensorExtensionMethods
{
    public static void Save(this torch.Tensor tensor, BinaryWriter writer)
    {
        writer.Write7BitEncodedInt((int)tensor.dtype);
        writer.Write7BitEncodedInt((int)tensor.Dimensions);
        foreach (var size in tensor.shape)
            writer.Write7BitEncodedInt64(size);
        using var grad = torch.no_grad();
        using var host = tensor.cpu();
        using var dense = host.contiguous();
        writer.Write(dense.bytes);
    }

    /// <summary>Overwrites the tensor's elements; type and shape in the stream must be its own.</summary>
    public static void Load(this torch.Tensor tensor, BinaryReader reader, bool skip = false)
    {
        var type = (torch.ScalarType)reader.Read7BitEncodedInt();
        var shape = new long[reader.Read7BitEncodedInt()];
        for (var i = 0; i < shape.Length; i++)
            shape[i] = reader.Read7BitEncodedInt64();
        if (!skip && (type != tensor.dtype || !shape.AsSpan().SequenceEqual(tensor.shape)))
            throw new ArgumentException($"Mismatched tensor: the stream has {type} [{string.Join(", ", shape)}], the target is {tensor.dtype} [{string.Join(", ", tensor.shape)}].");
        using var grad = torch.no_grad();
        using var read = torch.empty(shape, type, torch.CPU);
        reader.BaseStream.ReadExactly(read.bytes);
        if (!skip)
            tensor.copy_(read).Dispose();
    }

    /// <summary>Makes a parameter of a tensor, which is empty afterwards.</summary>
    public static Modules.Parameter AsParameter(this torch.Tensor tensor) => new(tensor);
}
