namespace KdServing.Serving.Catalog;

/// <summary>Which items the cold-start vector is the mean of.</summary>
internal static class ColdStart
{
    // The mean of 4096 vectors has a sixty-fourth of their spread as its error; more cost time before every swap.
    private const int SampleItems = 4096;

    /// <summary>Slots spread evenly over the catalog, whose vectors are there.</summary>
    public static List<int> Sample(ItemSlots slots, ItemVectors vectors)
    {
        var sample = new List<int>();
        var stride = Math.Max(1, slots.End / SampleItems);
        for (var slot = 0; slot < slots.End; slot += stride)
        {
            if (slots.IsLive(slot) && vectors.Has(slot))
                sample.Add(slot);
        }
        return sample;
    }
}
