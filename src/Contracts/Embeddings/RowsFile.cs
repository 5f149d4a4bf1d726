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
            while (stream.Position % 64 != 0)
                stream.WriteByte(0);
            for (var i = 0; i < (all ? table.Rows : rows![t].Length); i++)
                stream.Write(MemoryMarshal.AsBytes(table[all ? i : rows![t][i]]));
        }
        writer.Flush();
    }

    /// <summary>Writes the rows of a verified buffer into the tables.</summary>
    /// <returns>Rows applied.</returns>
    /// <exception cref="ContractException">The buffer is cut short, or is not of these tables.</exception>
    public static long Apply(ReadOnlySpan<byte> file, IReadOnlyList<EmbeddingTable> tables)
    {
        var cursor = new Cursor(file);
        if (!cursor.Take(Magic.Length).SequenceEqual(Magic))
            throw new ContractException("rows.bin", "does not begin with its magic number");
        if (cursor.Int32() != tables.Count)
            throw new ContractException("rows.bin", "has another number of tables than the schema");
        var applied = 0L;
        foreach (var table in tables)
        {
            var name = Encoding.UTF8.GetString(cursor.Take(cursor.Int32()));
            var (rows, width, count) = (cursor.Int32(), cursor.Int32(), cursor.Int32());
            if (name != table.Shape.Name || rows != table.Rows || width != table.Width)
                throw new ContractException("rows.bin", $"table '{table.Shape.Name}' is stored with another name or shape");
            if (count < 0 || count > rows)
                throw new ContractException("rows.bin", $"table '{name}' holds {count} of {rows} rows");
            var numbers = count == rows ? default : MemoryMarshal.Cast<byte, int>(cursor.Take((long)count * sizeof(int)));
            cursor.Align(64);
            for (var i = 0; i < count; i++)
            {
                var row = numbers.IsEmpty ? i : numbers[i];
                if ((uint)row >= (uint)rows)
                    throw new ContractException("rows.bin", $"table '{name}' names row {row} of {rows}");
                MemoryMarshal.Cast<byte, float>(cursor.Take(width * sizeof(float))).CopyTo(table.Writable(row));
            }
            applied += count;
        }
        if (!cursor.IsAtEnd)
            throw new ContractException("rows.bin", "goes on after its last table");
        return applied;
    }

    /// <summary>Rows a verified buffer holds, without reading them.</summary>
    /// <exception cref="ContractException">The buffer is cut short.</exception>
    public static long Count(ReadOnlySpan<byte> file)
    {
        var cursor = new Cursor(file);
        cursor.Take(Magic.Length);
        var total = 0L;
        for (var tables = cursor.Int32(); tables > 0; tables--)
        {
            cursor.Take(cursor.Int32());
            var (rows, width, count) = (cursor.Int32(), cursor.Int32(), cursor.Int32());
            if (count != rows)
                cursor.Take((long)count * sizeof(int));
            cursor.Align(64);
            cursor.Take((long)count * width * sizeof(float));
            total += count;
        }
        return total;
    }

    private ref struct Cursor(ReadOnlySpan<byte> file)
    {
        private readonly ReadOnlySpan<byte> file = file;
        private int position;

        public int Int32() => MemoryMarshal.Read<int>(Take(sizeof(int)));

        public readonly bool IsAtEnd => position == file.Length;

        public ReadOnlySpan<byte> Take(long bytes)
        {
            if (bytes < 0 || bytes > file.Length - position)
                throw new ContractException("rows.bin", "is cut short");
            var taken = file.Slice(position, (int)bytes);
            position += (int)bytes;
            return taken;
        }

        public void Align(int bytes) => Take((bytes - position % bytes) % bytes);
    }
}
