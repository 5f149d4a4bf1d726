using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Distiller.Checkpoints;

/// <summary>Writes float32 tensors in the safetensors format, which PyTorch, NumPy and others read.</summary>
/// <remarks>
/// Eight bytes little-endian: length of the header; a JSON header of dtype, shape and offsets, padded with spaces to a multiple
/// of 8; then the data without gaps, in the order of <see cref="Add(string, long[], Action{Stream})"/>.
/// </remarks>
public sealed class SafetensorsWriter
{
    private readonly SortedDictionary<string, string> metadata = new(StringComparer.Ordinal);
    private readonly List<(string Name, long[] Shape, Action<Stream> Write)> tensors = [];

    public void AddMetadata(string key, string value) => metadata.Add(key, value);

    public void Add(string name, long[] shape, float[] values) =>
        Add(name, shape, stream => stream.Write(MemoryMarshal.AsBytes<float>(values)));

    /// <summary>All rows of a table, [rows, width].</summary>
    public void Add(string name, EmbeddingTable table) => Add(name, [table.Rows, table.Width], stream =>
    {
        for (var row = 0; row < table.Rows; row++)
            stream.Write(MemoryMarshal.AsBytes(table[row]));
    });

    /// <param name="write">Writes exactly the tensor's bytes, row-major little-endian.</param>
    public void Add(string name, long[] shape, Action<Stream> write)
    {
        if (tensors.Any(t => t.Name == name))
            throw new ArgumentException($"tensor '{name}' is added twice", nameof(name));
        tensors.Add((name, shape, write));
    }

    public void Write(Stream stream)
    {
        var header = Header();
        Span<byte> length = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
        stream.Write(length);
        stream.Write(header);
        foreach (var (_, _, write) in tensors)
            write(stream);
    }

    private byte[] Header()
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            foreach (var (key, value) in metadata)
                json.WriteString(key, value);
            json.WriteEndObject();
            var offset = 0L;
            foreach (var (name, shape, _) in tensors)
            {
                json.WriteStartObject(name);
                json.WriteString("dtype", "F32");
                json.WriteStartArray("shape");
                foreach (var size in shape)
                    json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                offset += shape.Aggregate(1L, (a, b) => a * b) * sizeof(float);
                json.WriteNumberValue(offset);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        while (buffer.Length % 8 != 0)
            buffer.WriteByte((byte)' ');
        return buffer.ToArray();
    }
}
