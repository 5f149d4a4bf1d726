using System.Text;
using Google.Protobuf;

namespace KdServing.Serving.Models;

/// <summary>Writes the messages of an ONNX file. Field numbers are those of onnx.proto3.</summary>
internal static class OnnxMessages
{
    /// <summary>A message of its fields.</summary>
    public static byte[] Message(Action<CodedOutputStream> write)
    {
        using var memory = new MemoryStream();
        using (var stream = new CodedOutputStream(memory, leaveOpen: true))
            write(stream);
        return memory.ToArray();
    }

    public static void Write(CodedOutputStream stream, int field, ulong number)
    {
        stream.WriteTag(field, WireFormat.WireType.Varint);
        stream.WriteUInt64(number);
    }

    public static void Write(CodedOutputStream stream, int field, ReadOnlySpan<byte> bytes)
    {
        stream.WriteTag(field, WireFormat.WireType.LengthDelimited);
        stream.WriteBytes(ByteString.CopyFrom(bytes));
    }

    public static void Write(CodedOutputStream stream, int field, string text) => Write(stream, field, Encoding.UTF8.GetBytes(text));

    /// <summary>ValueInfoProto { name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1 | dim_param 2 } } } } }</summary>
    /// <param name="elementType">ONNX's number: 1 float32, 6 int32, 7 int64.</param>
    /// <param name="shape">A number, or the name of a size that is not known.</param>
    public static byte[] ValueInfo(string name, int elementType, params ReadOnlySpan<object> shape)
    {
        var dimensions = shape.ToArray();
        var tensor = Message(t =>
        {
            Write(t, 1, (ulong)elementType);
            Write(t, 2, Message(s =>
            {
                foreach (var size in dimensions)
                    Write(s, 1, Message(d => WriteDimension(d, size)));
            }));
        });
        return Message(v =>
        {
            Write(v, 1, name);
            Write(v, 2, Message(t => Write(t, 1, tensor)));
        });
    }

    /// <summary>NodeProto { input 1, output 2, op_type 4, attribute 5 }</summary>
    public static byte[] Node(string operation, IReadOnlyList<string> inputs, string output, params ReadOnlySpan<byte[]> attributes)
    {
        var written = attributes.ToArray();
        return Message(n =>
        {
            foreach (var input in inputs)
                Write(n, 1, input);
            Write(n, 2, output);
            Write(n, 4, operation);
            foreach (var attribute in written)
                Write(n, 5, attribute);
        });
    }

    /// <summary>AttributeProto { name 1, i 3, type 20 = INT }</summary>
    public static byte[] Attribute(string name, long value) => Message(a =>
    {
        Write(a, 1, name);
        Write(a, 3, (ulong)value);
        Write(a, 20, 2);
    });

    /// <summary>AttributeProto { name 1, ints 8, type 20 = INTS }</summary>
    public static byte[] Attribute(string name, long[] values) => Message(a =>
    {
        Write(a, 1, name);
        foreach (var value in values)
            Write(a, 8, (ulong)value);
        Write(a, 20, 7);
    });

    private static void WriteDimension(CodedOutputStream stream, object size)
    {
        if (size is string name)
            Write(stream, 2, name);
        else
            Write(stream, 1, (ulong)Convert.ToInt64(size, System.Globalization.CultureInfo.InvariantCulture));
    }
}
