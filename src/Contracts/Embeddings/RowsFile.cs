using System.Runtime.InteropServices;
using System.Text;

namespace KdServing.Contracts;

/// <summary>
/// <c>rows.bin</c>: the rows of every table that a version changes (a delta), or all of them (a base).
/// </summary>
/// <remarks>
/// Little-endian. <c>"KDROWS1\0"</c>, int32 table count; then a table: int32 name bytes, name, int32 rows, int32 width,
/// int32 count, then, if count is not rows, the int32 row numbers [count] ascending, then zeros to a multiple of 64, then
/// float32 [count, width]. A base can be memory-mapped: its floats are aligned to 64 bytes.
/// </remarks>
public static class RowsFile
{
    private const int Alignment = 64;

    // What is hashed is still in the nearest caches when it is looked at and copied.
    private const int ChunkBytes = 32 * 1024;

    private static readonly byte[] Magic = "KDROWS1\0"u8.ToArray();

    /// <summary>Writes, of each table, all rows (<paramref name="rows"/> null) or the given ones.</summary>
    public static unsafe void Write(Stream stream, IReadOnlyList<EmbeddingTable> tables, IReadOnlyList<int[]>? rows)
    {
        var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(Magic);
        writer.Write(tables.Count);
        for (var t = 0; t < tables.Count; t++)
        {
            var table = tables[t];
            var name = Encoding.UTF8.GetBytes(table.Shape.Name);
            writer.Write(name.Length);
            writer.Write(name);
            writer.Write(table.Rows);
            writer.Write(table.Width);
            var all = rows is null || rows[t].Length == table.Rows;
            writer.Write(all ? table.Rows : rows![t].Length);
            if (!all)
                writer.Write(MemoryMarshal.AsBytes<int>(rows![t]));
            writer.Flush();
            while (stream.Position % Alignment != 0)
                stream.WriteByte(0);
            for (var i = 0; i < (all ? table.Rows : rows![t].Length); i++)
                stream.Write(MemoryMarshal.AsBytes(table[all ? i : rows![t][i]]));
        }
        writer.Flush();
    }

    /// <summary>Writes the rows of a file into the tables, in pieces: what it takes beside the tables does not grow with the file.</summary>
    /// <param name="file">At its beginning; its length is known.</param>
    /// <param name="requireFinite">Refuse rows that hold NaN or an infinity.</param>
    /// <param name="betweenPieces">Called again and again meanwhile: a thread that must not hold its core for long may rest there.</param>
    /// <returns>Rows applied.</returns>
    /// <exception cref="ContractException">The file is cut short, is not of these tables, or holds what is not finite; the tables have some of its rows then.</exception>
    public static long Apply(Stream file, IReadOnlyList<EmbeddingTable> tables, bool requireFinite, Action? betweenPieces = null) =>
        Apply(file, tables, requireFinite, ChunkBytes, betweenPieces);

    internal static long Apply(Stream file, IReadOnlyList<EmbeddingTable> tables, bool requireFinite, int chunkBytes, Action? betweenPieces = null)
    {
        var reader = new RowsReader(file, tables.Select(t => t.Width * sizeof(float)).Append(chunkBytes).Max());
        RequireMagic(reader);
        if (reader.Int32() != tables.Count)
            throw new ContractException("rows.bin", "has another number of tables than the schema");
        var applied = 0L;
        foreach (var table in tables)
            applied += Apply(reader, table, requireFinite, betweenPieces);
        if (!reader.IsAtEnd)
            throw new ContractException("rows.bin", "goes on after its last table");
        return applied;
    }

    private static int Apply(RowsReader reader, EmbeddingTable table, bool requireFinite, Action? betweenPieces)
    {
        var header = TableHeader.Read(reader);
        var (name, rows, width, count) = header;
        if (name != table.Shape.Name || rows != table.Rows || width != table.Width)
            throw new ContractException("rows.bin", $"table '{table.Shape.Name}' is stored with another name or shape");
        if (count < 0 || count > rows)
            throw new ContractException("rows.bin", $"table '{name}' holds {count} of {rows} rows");
        var numbers = header.IsWhole ? null : reader.Int32s(count);
        foreach (var row in numbers ?? [])
        {
            if ((uint)row >= (uint)rows)
                throw new ContractException("rows.bin", $"table '{name}' names row {row} of {rows}");
        }
        reader.Align(Alignment);
        for (var i = 0; i < count;)
        {
            var values = reader.Rows(count - i, width);
            if (requireFinite && FiniteValues.IndexOfFault(values) is >= 0 and var fault)
                throw new ContractException("rows.bin", $"table '{name}' holds {values[fault]} in row {numbers?[i + fault / width] ?? i + fault / width}; every value must be finite");
            if (numbers is null)
                table.Write(i, values);
            for (var at = 0; numbers is not null && at < values.Length; at += width)
                values.Slice(at, width).CopyTo(table.Writable(numbers[i + at / width]));
            i += values.Length / width;
            betweenPieces?.Invoke();
        }
        return count;
    }

    /// <summary>Rows a file holds; reads no more than it must.</summary>
    /// <exception cref="ContractException">The file is cut short.</exception>
    public static long Count(Stream file)
    {
        var reader = new RowsReader(file, ChunkBytes);
        RequireMagic(reader);
        var total = 0L;
        for (var tables = reader.Int32(); tables > 0; tables--)
        {
            var header = TableHeader.Read(reader);
            if (!header.IsWhole)
                reader.Skip((long)header.Count * sizeof(int));
            reader.Align(Alignment);
            reader.Skip((long)header.Count * header.Width * sizeof(float));
            total += header.Count;
        }
        return total;
    }

    private static void RequireMagic(RowsReader reader)
    {
        if (!reader.Take(Magic.Length).SequenceEqual(Magic))
            throw new ContractException("rows.bin", "does not begin with its magic number");
    }

    private readonly record struct TableHeader(string Name, int Rows, int Width, int Count)
    {
        /// <summary>All rows are there, and their numbers are not.</summary>
        public bool IsWhole => Count == Rows;

        public static TableHeader Read(RowsReader reader) =>
            new(Encoding.UTF8.GetString(reader.Take(reader.Int32())), reader.Int32(), reader.Int32(), reader.Int32());
    }
}
