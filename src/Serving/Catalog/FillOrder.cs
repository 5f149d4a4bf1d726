namespace KdServing.Serving.Catalog;

/// <summary>The order in which a version's vectors are encoded: by requests of the last minute, most first.</summary>
internal static class FillOrder
{
    // More requests than this are one class: their order among each other does not matter.
    private const int MaxClass = 4096;

    public static VectorFill Make(VersionItems version, ItemSlots slots, RequestCounts counts)
    {
        var classStart = new int[MaxClass + 1];
        var total = 0L;
        for (var slot = 0; slot < slots.End; slot++)
        {
            if (!slots.IsLive(slot))
                continue;
            var requests = counts.Of(slot);
            total += requests;
            if (!version.Vectors.Has(slot))
                classStart[Math.Min(requests, MaxClass)]++;
        }
        // Counting sort, the largest class first.
        var start = 0;
        for (var c = MaxClass; c >= 0; c--)
            (classStart[c], start) = (start, start + classStart[c]);
        var order = new int[start];
        var weights = new int[start];
        // A server that has just started knows nothing of its items: each counts one.
        var uniform = total == 0;
        for (var slot = 0; slot < slots.End; slot++)
        {
            if (!slots.IsLive(slot) || version.Vectors.Has(slot))
                continue;
            var requests = counts.Of(slot);
            var place = classStart[Math.Min(requests, MaxClass)]++;
            order[place] = slot;
            weights[place] = uniform ? 1 : requests;
        }
        return new(version, order, weights, uniform ? slots.Live : total);
    }
}
