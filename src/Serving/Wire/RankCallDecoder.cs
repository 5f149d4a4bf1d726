using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using KdServing.Contracts;
using KdServing.Serving.Kernels;

namespace KdServing.Serving.Wire;

/// <summary>Turns the bytes of a call's columns into table rows and floats, in one pass and without an allocation.</summary>
/// <remarks>
/// Reads what well-made requests consist of: each feature once, ids as varints or raw, numbers, sequences of the user. For whatever
/// else it answers false, and the request goes through the generated message and <see cref="ColumnReader"/>, which read every form and
/// name every error. Immutable; any thread.
/// </remarks>
/// <param name="tables">In the order of <see cref="FeatureSchema.Tables"/>.</param>
internal sealed class RankCallDecoder(FeatureSchema schema, IReadOnlyList<EmbeddingTable> tables)
{
    private const int MaxFeatures = 256;

    private readonly WireFeature[] user = [.. schema.User.Features.Select(f => new WireFeature(f, Encoding.UTF8.GetBytes(f.Name)))];
    private readonly WireFeature[] item =
        [.. schema.Item.Features.Concat(schema.Live.Features).Select(f => new WireFeature(f, Encoding.UTF8.GetBytes(f.Name)))];

    private readonly EmbeddingTable[] tables = [.. tables];

    /// <summary>User and context features into their vector.</summary>
    /// <param name="vector">[user width].</param>
    public bool TryReadUser(RankCall call, Span<float> vector)
    {
        if (call.UserColumns != user.Length || user.Length > MaxFeatures)
            return false;
        Span<bool> seen = stackalloc bool[user.Length];
        for (var c = 0; c < user.Length; c++)
        {
            if (!WireColumn.TryRead(call.UserColumn(c), out var column) || !TryFind(user, column.Name, c, seen, out var k)
                || !TryReadUserFeature(user[k].Feature, column, vector))
                return false;
        }
        return true;
    }

    /// <summary>Item, live and cross features into their columns.</summary>
    /// <param name="hasVectors">Item vectors are known: only live and cross features are sent.</param>
    public bool TryReadItems(RankCall call, int candidates, bool hasVectors, CandidateColumns columns)
    {
        var first = hasVectors ? schema.Item.Features.Count : 0;
        var features = item.AsSpan(first);
        if (call.ItemColumns != features.Length || features.Length > MaxFeatures)
            return false;
        Span<bool> seen = stackalloc bool[features.Length];
        for (var c = 0; c < features.Length; c++)
        {
            if (!WireColumn.TryRead(call.ItemColumn(c), out var column) || !TryFind(features, column.Name, c, seen, out var k))
                return false;
            var feature = features[k].Feature;
            var isRead = feature.Kind switch
            {
                FeatureKind.Numeric => TryReadNumbers(feature, column, columns.Floats(first + k, candidates)),
                FeatureKind.Sequence => false,
                _ => TryReadRows(feature, column, columns.Rows(first + k, candidates)),
            };
            if (!isRead)
                return false;
            columns.AskForFirst(first + k, candidates);
        }
        return true;
    }

    private bool TryReadUserFeature(Feature feature, in WireColumn column, Span<float> vector)
    {
        var place = vector.Slice(feature.Offset, feature.Width);
        switch (feature.Kind)
        {
            case FeatureKind.Numeric:
                return TryReadNumbers(feature, column, place);
            case FeatureKind.Sequence:
                return TryReadSequence(feature, column, place);
            default:
                Span<int> row = stackalloc int[1];
                if (!TryReadRows(feature, column, row))
                    return false;
                tables[feature.Table][row[0]].CopyTo(place);
                return true;
        }
    }

    private static bool TryReadRows(Feature feature, in WireColumn column, Span<int> rows)
    {
        switch (column.Kind)
        {
            case Column.ValuesOneofCase.RawInt64 when column.Values.Length == rows.Length * sizeof(long):
                ToRows(feature, MemoryMarshal.Cast<byte, long>(column.Values), rows);
                return true;
            case Column.ValuesOneofCase.Ints:
                return TryReadVarints(feature, column.Values, rows);
            default:
                return false;
        }
    }

    // In shares that stay in the first-level cache between the two steps.
    private static bool TryReadVarints(Feature feature, ReadOnlySpan<byte> packed, Span<int> rows)
    {
        const int share = 256;
        Span<long> ids = stackalloc long[share];
        var varints = new Varints(packed);
        for (; rows.Length > 0; rows = rows[ids.Length..])
        {
            ids = ids[..Math.Min(share, rows.Length)];
            if (!varints.TryRead(ids))
                return false;
            ToRows(feature, ids, rows);
        }
        return varints.IsAtEnd;
    }

    private static void ToRows(Feature feature, ReadOnlySpan<long> ids, Span<int> rows)
    {
        if (feature.Kind == FeatureKind.Hash)
        {
            FeatureHash.Rows(ids, feature.HashSeed, feature.Buckets, rows);
            return;
        }
        for (var r = 0; r < ids.Length; r++)
            rows[r] = feature.Row(ids[r]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool TryReadNumbers(Feature feature, in WireColumn column, Span<float> numbers)
    {
        if (column.Kind is not (Column.ValuesOneofCase.Floats or Column.ValuesOneofCase.RawFloat32) || column.Values.Length != numbers.Length * sizeof(float))
            return false;
        var raw = MemoryMarshal.Cast<byte, float>(column.Values);
        for (var r = 0; r < numbers.Length; r++)
        {
            if (!float.IsFinite(raw[r]))
                return false;
            numbers[r] = feature.Normalise(raw[r]);
        }
        return true;
    }

    // The user's one sequence: the mean of its first rows.
    private bool TryReadSequence(Feature feature, in WireColumn column, Span<float> mean)
    {
        var lengths = new Varints(column.Lengths);
        if (column.Kind != Column.ValuesOneofCase.Sequences || !lengths.TryRead(out var length) || !lengths.IsAtEnd
            || length != Varints.Count(column.Values))
            return false;
        mean.Clear();
        var used = (int)Math.Min(length, feature.MaxLength);
        var ids = new Varints(column.Values);
        for (var i = 0; i < used; i++)
        {
            if (!ids.TryRead(out var id))
                return false;
            TensorPrimitives.Add(mean, tables[feature.Table][feature.Row(id)], mean);
        }
        if (used > 0)
            TensorPrimitives.Divide(mean, used, mean);
        return true;
    }

    // Clients tend to send columns in the schema's order: the feature at the same place is looked at first.
    private static bool TryFind(ReadOnlySpan<WireFeature> features, ReadOnlySpan<byte> name, int place, Span<bool> seen, out int k)
    {
        k = place;
        if (!name.SequenceEqual(features[place].Name))
        {
            for (k = 0; k < features.Length && !name.SequenceEqual(features[k].Name);)
                k++;
        }
        if (k == features.Length || seen[k])
            return false;
        seen[k] = true;
        return true;
    }

    private readonly record struct WireFeature(Feature Feature, byte[] Name);
}
