using KdServing.Contracts;

namespace KdServing.LoadTests.Demo;

/// <summary>A version that answered at least one request.</summary>
/// <param name="Position">Last stream entry it has learned from.</param>
/// <param name="FirstReplyMs">When its first reply arrived, milliseconds since the Unix epoch.</param>
internal sealed record ServedVersion(long Version, StreamId Position, long FirstReplyMs);

/// <summary>How long a teacher's logits took to reach served scores.</summary>
/// <param name="Unserved">Records no served version had learned from by the end of the run.</param>
internal sealed record Freshness(double? P50Ms, double? P99Ms, long Unserved)
{
    /// <summary>
    /// Per record: time of the first reply by a version whose position covers the record, minus the record's write time (its
    /// stream id). Records never served count as unserved and are in no percentile.
    /// </summary>
    /// <param name="produced">Ids of all records written, in any order.</param>
    public static Freshness Measure(IEnumerable<StreamId> produced, IEnumerable<ServedVersion> served)
    {
        // A later version can answer first on another connection: the earliest reply at or beyond a position counts.
        var byPosition = served.OrderBy(v => v.Position).ToArray();
        var earliest = new long[byPosition.Length];
        for (var i = byPosition.Length - 1; i >= 0; i--)
            earliest[i] = Math.Min(byPosition[i].FirstReplyMs, i + 1 < earliest.Length ? earliest[i + 1] : long.MaxValue);

        var ages = new List<double>();
        var unserved = 0L;
        var next = 0;
        foreach (var id in produced.Order())
        {
            while (next < byPosition.Length && byPosition[next].Position < id)
                next++;
            if (next == byPosition.Length)
                unserved++;
            else
                ages.Add(Math.Max(0, earliest[next] - id.Ms));
        }
        ages.Sort();
        return new(Percentile(ages, 0.50), Percentile(ages, 0.99), unserved);
    }

    /// <summary>The value with a share <paramref name="rank"/> of a sorted list at or below it (nearest rank); null when empty.</summary>
    public static double? Percentile(IReadOnlyList<double> sorted, double rank) =>
        sorted.Count == 0 ? null : sorted[Math.Clamp((int)Math.Ceiling(rank * sorted.Count) - 1, 0, sorted.Count - 1)];
}
