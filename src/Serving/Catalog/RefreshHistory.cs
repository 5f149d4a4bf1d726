using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Catalog;

/// <summary>Which items' vectors changed with which version, so that a version whose encoder has stayed the same encodes only those. The catalog's thread only.</summary>
/// <remarks>
/// Versions get ordinals in the order they are prepared. A row stamped with ordinal s is valid for a version of ordinal o &gt; s when its
/// item has not changed in (s, o]. An item changes with a version that changes an embedding row it reads; all do with a version whose
/// <c>item_encoder.onnx</c> or schema is another one, or whose rows do not build on the version prepared before it.
/// </remarks>
internal sealed class RefreshHistory
{
    private const int BlockSlots = 4096;

    private int[] changedAt = new int[1024];
    private int allChangedAt;
    private int ordinal;
    private VersionManifest? last;

    /// <summary>A slot got another item; rows of the item before are forgotten by <see cref="VectorStores.Forget"/>.</summary>
    public void Take(int slot)
    {
        if (slot >= changedAt.Length)
            Array.Resize(ref changedAt, Math.Max(slot + 1, changedAt.Length * 2));
        changedAt[slot] = 0;
    }

    /// <summary>Notes what a version changes.</summary>
    /// <returns>Its ordinal.</returns>
    public int Begin(Servable next, ItemFeatures features, ItemSlots slots)
    {
        ordinal++;
        if (last is null || !ReferenceEquals(next.RowsFrom, last) || !SameEncoder(next.Manifest, last))
            allChangedAt = ordinal;
        else
            MarkChanged(next, features, slots);
        last = next.Manifest;
        return ordinal;
    }

    /// <summary>Slot → ordinal of its last change; <see cref="int.MaxValue"/> for slots without an item.</summary>
    public int[] ChangedAt(ItemSlots slots)
    {
        var result = new int[slots.End];
        for (var slot = 0; slot < result.Length; slot++)
            result[slot] = slots.IsLive(slot) ? Math.Max(changedAt[slot], allChangedAt) : int.MaxValue;
        return result;
    }

    private void MarkChanged(Servable next, ItemFeatures features, ItemSlots slots)
    {
        Span<bool> changed = stackalloc bool[BlockSlots];
        for (var first = 0; first < slots.End; first += BlockSlots)
        {
            var block = changed[..Math.Min(BlockSlots, slots.End - first)];
            block.Clear();
            features.MarkChanged(next.Schema.Item, next.Tables, first, block);
            for (var n = 0; n < block.Length; n++)
            {
                if (block[n])
                    changedAt[first + n] = ordinal;
            }
        }
    }

    private static bool SameEncoder(VersionManifest a, VersionManifest b) =>
        a.SchemaFingerprint == b.SchemaFingerprint
        && a.Files.TryGetValue(StudentSignature.ItemEncoderFile, out var file)
        && b.Files.TryGetValue(StudentSignature.ItemEncoderFile, out var other) && file.Sha256 == other.Sha256;
}
