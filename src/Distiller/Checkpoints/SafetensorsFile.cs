using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Distiller.Checkpoints;

/// <summary>Reads a safetensors file strictly: what does not add up is refused before a tensor is read.</summary>
public sealed class SafetensorsFile : IDisposable
{
    // The reference implementation's limit.
    private const long MaxHeaderBytes = 100_000_000;

    private readonly Dictionary<string, (long[] Shape, long Start)> tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> metadata = new(StringComparer.Ordinal);
    private readonly FileStream stream;
    private readonly long dataStart;

    /// <exception cref="ContractException">Not a safetensors file of float32 tensors.</exception>
    public SafetensorsFile(string path)
    {
        stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        try
        {
            Span<byte> prefix = stackalloc byte[sizeof(ulong)];
            if (stream.ReadAtLeast(prefix, prefix.Length, throwOnEndOfStream: false) < prefix.Length)
                throw Fault("is cut short");
            var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
            if (length > MaxHeaderBytes || (long)length > stream.Length - prefix.Length)
                throw Fault($"announces a header of {length} bytes, which it does not hold");
            var header = new byte[length];
            stream.ReadExactly(header);
            dataStart = stream.Position;
            ReadHeader(header);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    public IReadOnlyDictionary<string, string> Metadata => metadata;

    public IReadOnlyCollection<string> Names => tensors.Keys;

    /// <exception cref="ContractException">No such tensor.</exception>
    public IReadOnlyList<long> Shape(string name) => Find(name).Shape;

    /// <exception cref="ContractException">No such tensor, or another shape.</exception>
    public float[] Read(string name, params ReadOnlySpan<long> shape)
    {
        Seek(name, shape);
        var count = 1L;
        foreach (var size in shape)
            count *= size;
        var values = new float[count];
        stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    /// <summary>Reads [rows, width] into a table.</summary>
    /// <exception cref="ContractException">No such tensor, or another shape.</exception>
    public void Read(string name, EmbeddingTable table)
    {
        Seek(name, [table.Rows, table.Width]);
        for (var row = 0; row < table.Rows; row++)
            stream.ReadExactly(MemoryMarshal.AsBytes(table.Writable(row)));
    }

    public void Dispose() => stream.Dispose();

    private void Seek(string name, ReadOnlySpan<long> shape)
    {
        var (found, start) = Find(name);
        if (!shape.SequenceEqual(found))
            throw Fault($"holds '{name}' as [{string.Join(", ", found)}], expected [{string.Join(", ", shape.ToArray())}]");
        stream.Position = dataStart + start;
    }

    private (long[] Shape, long Start) Find(string name) =>
        tensors.TryGetValue(name, out var tensor) ? tensor : throw Fault($"has no tensor '{name}'");

    private void ReadHeader(byte[] header)
    {
        try
        {
            using var json = JsonDocument.Parse(header);
            var ranges = new List<(long Start, long End)>();
            foreach (var entry in json.RootElement.EnumerateObject())
            {
                if (entry.Name == "__metadata__")
                {
                    foreach (var pair in entry.Value.EnumerateObject())
                        metadata[pair.Name] = pair.Value.GetString()!;
                    continue;
                }
                ranges.Add(ReadTensor(entry));
            }
            // The data must be covered without gap or overlap: nothing hides in it.
            ranges.Sort();
            var at = 0L;
            foreach (var (start, end) in ranges)
                at = start == at ? end : throw Fault("has tensors that overlap or leave a gap");
            if (at != stream.Length - dataStart)
                throw Fault($"holds {stream.Length - dataStart} bytes of data, its tensors need {at}");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException or OverflowException)
        {
            throw Fault($"has a header that is not valid: {e.Message}");
        }
    }

    private (long Start, long End) ReadTensor(JsonProperty entry)
    {
        if (entry.Value.GetProperty("dtype").GetString() is not "F32" and var dtype)
            throw Fault($"holds '{entry.Name}' as {dtype}; only F32 is read");
        var shape = entry.Value.GetProperty("shape").EnumerateArray().Select(s => s.GetInt64()).ToArray();
        var offsets = entry.Value.GetProperty("data_offsets").EnumerateArray().Select(o => o.GetInt64()).ToArray();
        var bytes = (long)sizeof(float);
        foreach (var size in shape)
            bytes = size >= 0 ? checked(bytes * size) : throw Fault($"holds '{entry.Name}' with a negative size");
        if (offsets.Length != 2 || offsets[0] < 0 || offsets[1] - offsets[0] != bytes)
            throw Fault($"holds '{entry.Name}' in another number of bytes than its shape needs");
        if (!tensors.TryAdd(entry.Name, (shape, offsets[0])))
            throw Fault($"names '{entry.Name}' twice");
        return (offsets[0], offsets[1]);
    }

    private ContractException Fault(string reason) => new(Path.GetFileName(stream.Name), reason);
}
