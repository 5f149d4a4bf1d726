using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KdServing.Contracts;

/// <summary>
/// Embedding rows in native memory: row-major float32, in pages that forks share until one of them is written
/// (copy-on-write), with a bitmap of the rows written since the last <see cref="TakeDirtyRows"/>.
/// </summary>
/// <remarks>
/// One thread writes and forks; any number read a fork that nobody writes. A fork costs one counter a page, not a copy of the
/// rows, so a version of 640 MB is taken in milliseconds; each page written afterwards is copied once.
/// <code>
/// var table = new EmbeddingTable(shape, seed);
/// table.Writable(row)[0] += 1;        // trainer
/// using var version = table.Fork();   // publisher reads this while the trainer goes on
/// </code>
/// </remarks>
public sealed unsafe class EmbeddingTable : IDisposable
{
    // 1 KiB, 16 rows of width 16: when one row in a thousand changes, anywhere, a new version copies 1.6 % of the pages (of 64 KiB pages it copied
    // 65 %: see 'bench refresh').
    private const int TargetPageFloats = 256;
    private const int LineFloats = 16;

    private readonly EmbeddingPages pages;
    private readonly int[] numbers;
    private readonly nint[] addresses;
    private readonly ulong[] dirty;
    private readonly int shift;
    private readonly int mask;
    private bool disposed;

    /// <summary>A table whose rows are all zero.</summary>
    public EmbeddingTable(TableShape shape) : this(shape, Pages(shape))
    {
        foreach (var page in addresses)
            new Span<float>((float*)page, pages.PageFloats).Clear();
    }

    /// <summary>A table of uniform random rows in ±<paramref name="scale"/>, a function of seed, row and column alone.</summary>
    public EmbeddingTable(TableShape shape, ulong seed, float scale) : this(shape, Pages(shape))
    {
        for (var row = 0; row < shape.Rows; row++)
        {
            var values = (float*)addresses[row >> shift] + (long)(row & mask) * shape.Width;
            var state = FeatureHash.Mix(seed ^ FeatureHash.Mix((ulong)row));
            for (var d = 0; d < shape.Width; d++)
            {
                state = FeatureHash.Mix(state);
                values[d] = ((state >> 40) * (1f / (1 << 23)) - 1f) * scale;
            }
        }
    }

    // numbers and addresses: of the pages, which this table owns together with others; null: new ones.
    private EmbeddingTable(TableShape shape, EmbeddingPages pages, int[]? numbers = null, nint[]? addresses = null)
    {
        Shape = shape;
        this.pages = pages;
        shift = PageShift(shape.Width);
        mask = (1 << shift) - 1;
        pages.Attach();
        if (numbers is null)
            pages.Take(numbers = new int[PageCount(shape)]);
        this.numbers = numbers;
        this.addresses = addresses ?? [.. numbers.Select(n => (nint)pages.Address(n))];
        dirty = new ulong[(shape.Rows + 63) / 64];
    }

    public TableShape Shape { get; }

    public int Rows => Shape.Rows;

    /// <summary>Floats a row.</summary>
    public int Width => Shape.Width;

    /// <summary>Memory of the rows of this table and all that it shares pages with, free pages included.</summary>
    internal long SharedBytes => pages.Bytes;

    /// <summary>Address of a row, valid until the row is next written. No bounds check: rows come from <see cref="Feature.Row"/>.</summary>
    public float* Address(int row) => (float*)addresses[row >> shift] + (long)(row & mask) * Shape.Width;

    /// <summary>Copies rows to where they are <paramref name="toStride"/> floats apart. No bounds check.</summary>
    /// <param name="rows">Row numbers, <paramref name="rowsStride"/> apart.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void CopyRows(int* rows, nint rowsStride, int count, float* to, nint toStride)
    {
        var (width, shift, mask) = (Shape.Width, this.shift, this.mask);
        fixed (nint* pages = addresses)
        {
            for (; count > 0; count--, rows += rowsStride, to += toStride)
                Copy((float*)pages[*rows >> shift] + (long)(*rows & mask) * width, to, width);
        }
    }

    /// <summary>Asks for rows ahead of their use: they lie anywhere in memory, and the first touch of one takes as long as hundreds of products.</summary>
    /// <param name="rows">Row numbers, <paramref name="rowsStride"/> apart.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void PrefetchRows(int* rows, nint rowsStride, int count)
    {
        if (!Sse.IsSupported)
            return;
        var (width, shift, mask) = (Shape.Width, this.shift, this.mask);
        fixed (nint* pages = addresses)
        {
            for (; count > 0; count--, rows += rowsStride)
            {
                var row = (float*)pages[*rows >> shift] + (long)(*rows & mask) * width;
                for (var d = 0; d < width; d += LineFloats)
                    Sse.Prefetch1(row + d);
            }
        }
    }

    /// <summary>Cache lines of a row, for whoever asks for them himself.</summary>
    public int LinesARow => (Shape.Width + LineFloats - 1) / LineFloats;

    /// <summary>Writes where rows' cache lines are, a line of every row and then the next. No bounds check.</summary>
    /// <param name="rows">Row numbers, <paramref name="rowsStride"/> apart.</param>
    /// <param name="to">[<see cref="LinesARow"/>, <paramref name="count"/>] addresses.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void WriteLines(int* rows, nint rowsStride, int count, nint* to)
    {
        var (width, shift, mask) = (Shape.Width, this.shift, this.mask);
        fixed (nint* pages = addresses)
        {
            for (var r = 0; r < count; r++, rows += rowsStride)
                to[r] = pages[*rows >> shift] + (nint)(*rows & mask) * width * sizeof(float);
        }
        for (var line = 1; line < LinesARow; line++)
        {
            for (var r = 0; r < count; r++)
                to[(nint)line * count + r] = to[r] + line * LineFloats * sizeof(float);
        }
    }

    // Rows are 4 to 64 floats: a call of memmove costs more than their copy.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy(float* from, float* to, int width)
    {
        var d = 0;
        for (; d <= width - Vector512<float>.Count; d += Vector512<float>.Count)
            Vector512.Store(Vector512.Load(from + d), to + d);
        for (; d <= width - Vector128<float>.Count; d += Vector128<float>.Count)
            Vector128.Store(Vector128.Load(from + d), to + d);
        for (; d < width; d++)
            to[d] = from[d];
    }

    /// <summary>A row to read.</summary>
    public ReadOnlySpan<float> this[int row]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Rows, nameof(row));
            return new(Address(row), Width);
        }
    }

    /// <summary>A row to write: copies its page if a fork still reads it, and marks the row dirty.</summary>
    public Span<float> Writable(int row)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Rows, nameof(row));
        var page = WritablePage(row >> shift, keepsRows: true);
        dirty[row >> 6] |= 1UL << (row & 63);
        return new(page + (long)(row & mask) * Width, Width);
    }

    /// <summary>
    /// Writes a run of rows, as <see cref="Writable"/> would one by one. Of the pages it covers whole, those a fork reads too stay shared
    /// when they hold the same bits already, and are not copied first when they do not.
    /// </summary>
    /// <param name="first">Number of the first row.</param>
    /// <param name="values">Whole rows, one after another.</param>
    public void Write(int first, ReadOnlySpan<float> values)
    {
        var count = values.Length / Width;
        ArgumentOutOfRangeException.ThrowIfNotEqual(values.Length, count * Width, nameof(values));
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Rows - first, nameof(values));
        for (var (row, end) = (first, first + count); row < end;)
        {
            var some = Math.Min(end - row, mask + 1 - (row & mask));
            var rows = values[..(some * Width)];
            var whole = (row & mask) == 0 && (some > mask || row + some == Rows);
            if (!whole || !pages.IsShared(numbers[row >> shift]) || !Holds(addresses[row >> shift], rows))
            {
                var page = WritablePage(row >> shift, keepsRows: !whole);
                rows.CopyTo(new(page + (long)(row & mask) * Width, rows.Length));
            }
            values = values[rows.Length..];
            for (; some > 0; some--, row++)
                dirty[row >> 6] |= 1UL << (row & 63);
        }
    }

    // Bits, not numbers: 0 and -0 are two, and so is every NaN.
    private static bool Holds(nint page, ReadOnlySpan<float> rows) =>
        new ReadOnlySpan<byte>((void*)page, rows.Length * sizeof(float)).SequenceEqual(MemoryMarshal.AsBytes(rows));

    private float* WritablePage(int p, bool keepsRows)
    {
        if (pages.IsShared(numbers[p]))
        {
            numbers[p] = pages.Unshare(numbers[p], keepsRows);
            addresses[p] = (nint)pages.Address(numbers[p]);
        }
        return (float*)addresses[p];
    }

    /// <summary>Was the row written since the table was made or <see cref="TakeDirtyRows"/> was called? Of a fork: since it forked.</summary>
    public bool IsDirty(int row) => (dirty[row >> 6] & (1UL << (row & 63))) != 0;

    /// <summary>A second table with the same rows, sharing every page; its own bitmap starts clean.</summary>
    public EmbeddingTable Fork()
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        pages.Share(numbers);
        return new(Shape, pages, (int[])numbers.Clone(), (nint[])addresses.Clone());
    }

    /// <summary>Shows every page, in order, except those another table shares: what that one's copy elsewhere lacks of this one.</summary>
    /// <param name="other">A table this one was forked from, or that was forked from it, which nobody writes now; null: every page is shown.</param>
    public void VisitPagesNotIn(EmbeddingTable? other, PageVisitor visit)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        for (var p = 0; p < addresses.Length; p++)
        {
            if (other is not null && other.addresses[p] == addresses[p])
                continue;
            var first = p << shift;
            visit(first, new((float*)addresses[p], Math.Min(mask + 1, Rows - first) * Width));
        }
    }

    /// <summary>Rows written since the last call, ascending; the bitmap is clean afterwards.</summary>
    public int[] TakeDirtyRows()
    {
        var rows = DirtyRows();
        Array.Clear(dirty);
        return rows;
    }

    /// <summary>Rows written since the last <see cref="TakeDirtyRows"/>, ascending.</summary>
    public int[] DirtyRows()
    {
        var count = 0;
        foreach (var word in dirty)
            count += BitOperations.PopCount(word);
        var rows = new int[count];
        var next = 0;
        for (var w = 0; w < dirty.Length; w++)
        {
            for (var word = dirty[w]; word != 0; word &= word - 1)
                rows[next++] = w * 64 + BitOperations.TrailingZeroCount(word);
        }
        return rows;
    }

    /// <summary>Gives the pages back; those no fork shares are freed.</summary>
    public void Dispose()
    {
        if (disposed)
            return;
        disposed = true;
        pages.Release(numbers);
        pages.Detach();
        GC.SuppressFinalize(this);
    }

    ~EmbeddingTable() => Dispose();

    private static int PageShift(int width) => BitOperations.Log2((uint)Math.Max(1, TargetPageFloats / width));

    private static int PageCount(TableShape shape) => (shape.Rows - 1 >> PageShift(shape.Width)) + 1;

    private static EmbeddingPages Pages(TableShape shape) => new(shape.Width << PageShift(shape.Width), PageCount(shape));
}

/// <summary>Is shown some rows.</summary>
/// <param name="firstRow">Number of the first one.</param>
/// <param name="rows">Row-major, whole rows.</param>
public delegate void PageVisitor(int firstRow, ReadOnlySpan<float> rows);
