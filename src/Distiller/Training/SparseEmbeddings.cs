using System.Runtime.InteropServices;
using KdServing.Contracts;
using static TorchSharp.torch;

namespace KdServing.Distiller.Training;

/// <summary>
/// The embedding layer of a student or a teacher: rows go into torch as leaf tensors, their gradients come back to exactly
/// those rows. The cost of a step depends on the batch, never on the size of the vocabulary.
/// </summary>
/// <remarks>
/// Owns its tables. One thread.
/// <code>
/// using var scope = NewDisposeScope();
/// var item = embeddings.Gather(batch.Item);          // [N, Wi], requires grad
/// loss(item).backward();
/// embeddings.Accumulate(batch.Item, item.grad!);     // once for every matrix gathered
/// embeddings.Step();
/// </code>
/// </remarks>
public sealed unsafe class SparseEmbeddings : IDisposable
{
    private readonly UniqueRows[] touched;
    private readonly List<float>[] gradients;
    private readonly RowOptimizer[] optimizers;
    private int[] slots = [];

    /// <param name="seed">Rows begin as a function of seed, table, row and column alone.</param>
    public SparseEmbeddings(FeatureSchema schema, RowOptimizerOptions options, ulong seed)
    {
        Tables = [.. schema.Tables.Select(t => new EmbeddingTable(t, FeatureHash.Mix(seed) ^ FeatureHash.Seed(t.Name), options.InitialScale))];
        optimizers = [.. Tables.Select(t => new RowOptimizer(t, options))];
        touched = [.. Tables.Select(_ => new UniqueRows())];
        gradients = [.. Tables.Select(_ => new List<float>())];
    }

    /// <summary>In the order of <see cref="FeatureSchema.Tables"/>.</summary>
    public IReadOnlyList<EmbeddingTable> Tables { get; }

    /// <summary>Adagrad's sums, a table a table: [rows, 1] or [rows, width].</summary>
    public IEnumerable<EmbeddingTable> Accumulators => optimizers.Select(o => o.Accumulators);

    /// <summary>Rows the last <see cref="Step"/> changed, over all tables.</summary>
    public int RowsTouched { get; private set; }

    /// <summary>The group's vectors as a leaf, which requires grad when a row of it can learn; [rows.Count, width].</summary>
    public Tensor Gather(GroupRows rows) => RowGather.Gather(Tables, rows).requires_grad_(rows.Group.Features.Any(f => f.Kind != FeatureKind.Numeric));

    /// <summary>Adds the gradient of a gathered matrix to the rows it came from.</summary>
    /// <param name="gradient">[rows.Count, width]; null adds nothing (a group of numbers alone has no gradient).</param>
    public void Accumulate(GroupRows rows, Tensor? gradient)
    {
        if (gradient is null)
            return;
        using var dense = gradient.contiguous().cpu();
        fixed (float* start = MemoryMarshal.Cast<byte, float>(dense.bytes))
        {
            for (var k = 0; k < rows.Group.Features.Count; k++)
            {
                var feature = rows.Group.Features[k];
                if (feature.Kind == FeatureKind.Sequence)
                    AccumulateMeans(feature.Table, rows.TableRows(k), rows.SequenceStarts(k), start + feature.Offset, rows.Group.Width);
                else if (feature.Kind != FeatureKind.Numeric)
                    AccumulateRows(feature.Table, rows.TableRows(k), start + feature.Offset, rows.Group.Width);
            }
        }
    }

    /// <summary>One optimiser step of every row that has a gradient; forgets the gradients.</summary>
    public void Step()
    {
        RowsTouched = 0;
        for (var t = 0; t < Tables.Count; t++)
        {
            var width = Tables[t].Width;
            var rows = touched[t].Rows;
            fixed (float* sums = CollectionsMarshal.AsSpan(gradients[t]))
            {
                for (var slot = 0; slot < rows.Length; slot++)
                    optimizers[t].Apply(rows[slot], sums + (long)slot * width);
            }
            RowsTouched += rows.Length;
            touched[t].Clear();
            gradients[t].Clear();
        }
    }

    public void Dispose()
    {
        foreach (var optimizer in optimizers)
            optimizer.Dispose();
        foreach (var table in Tables)
            table.Dispose();
    }

    private void AccumulateRows(int table, ReadOnlySpan<int> tableRows, float* column, int stride)
    {
        var width = Tables[table].Width;
        fixed (float* sums = Sums(table, tableRows))
        {
            for (var r = 0; r < tableRows.Length; r++, column += stride)
                RowGather.Add(sums + (long)slots[r] * width, column, width);
        }
    }

    private void AccumulateMeans(int table, ReadOnlySpan<int> tableRows, ReadOnlySpan<int> starts, float* column, int stride)
    {
        var width = Tables[table].Width;
        fixed (float* sums = Sums(table, tableRows))
        {
            for (var r = 0; r + 1 < starts.Length; r++, column += stride)
            {
                var share = 1f / (starts[r + 1] - starts[r]);
                for (var i = starts[r]; i < starts[r + 1]; i++)
                    RowGather.AddScaled(sums + (long)slots[i] * width, column, width, share);
            }
        }
    }

    // The table's gradient sums, with room for these rows; their numbers are in slots.
    private Span<float> Sums(int table, ReadOnlySpan<int> tableRows)
    {
        if (slots.Length < tableRows.Length)
            slots = new int[tableRows.Length * 2];
        for (var r = 0; r < tableRows.Length; r++)
            slots[r] = touched[table].Slot(tableRows[r]);
        var sums = gradients[table];
        var known = sums.Count;
        CollectionsMarshal.SetCount(sums, touched[table].Count * Tables[table].Width);
        CollectionsMarshal.AsSpan(sums)[known..].Clear();
        return CollectionsMarshal.AsSpan(sums);
    }
}
