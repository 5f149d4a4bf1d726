namespace KdServing.Serving.Models;

/// <summary>Which version to serve next: a pure function of what there is and what people want.</summary>
public static class AspiredVersion
{
    /// <summary>The version to load; null to stay.</summary>
    /// <remarks>
    /// Pinned: that version and no other; while it is not to be had, a server without a version takes the newest good one below
    /// it, else the newest good one, since it must serve something. Held: no change. Otherwise the newest version above the one in
    /// service that has not been refused; a server without a version takes the newest good one, however old; one that serves
    /// never goes back by itself.
    /// </remarks>
    /// <param name="present">Versions to be had, ascending.</param>
    /// <param name="current">The version in service; 0 for none.</param>
    /// <param name="pinned">The version a person wants; 0 for none.</param>
    /// <param name="held">A person wants no change.</param>
    public static long? Next(IReadOnlyList<long> present, long current, long pinned, bool held, Func<long, bool> isRefused)
    {
        if (pinned != 0)
        {
            if (current == pinned)
                return null;
            if (present.Contains(pinned) && !isRefused(pinned))
                return pinned;
            return current != 0 ? null : Newest(present, 0, pinned, isRefused) ?? Newest(present, 0, long.MaxValue, isRefused);
        }
        return held && current != 0 ? null : Newest(present, current, long.MaxValue, isRefused);
    }

    private static long? Newest(IReadOnlyList<long> present, long above, long below, Func<long, bool> isRefused)
    {
        for (var i = present.Count - 1; i >= 0 && present[i] > above; i--)
        {
            if (present[i] < below && !isRefused(present[i]))
                return present[i];
        }
        return null;
    }
}
