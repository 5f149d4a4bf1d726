namespace KdServing.Serving.Catalog;

/// <summary>The work of giving one version its item vectors: which slots, in which order, and how far it is. The catalog's thread only;
/// <see cref="Covered"/> may be awaited by any.</summary>
/// <param name="order">Slots without a vector, those requested most first.</param>
/// <param name="weights">What each of them counts: its requests of the last minute, or one where there were none at all.</param>
/// <param name="total">Weight of all items, those that have their vector already included.</param>
internal sealed class VectorFill(VersionItems version, int[] order, int[] weights, long total)
{
    /// <summary>Share of the last minute's requested items that must have their vector before a version is swapped in.</summary>
    public const double CoveredShare = 0.99;

    private readonly TaskCompletionSource covered = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long done = total - weights.Sum(w => (long)w);
    private int next;

    public VersionItems Version => version;

    /// <summary>Completes when enough is encoded for the version to be swapped in; fails with what the encoder failed with.</summary>
    public Task Covered => covered.Task;

    /// <summary>Items this version had to encode.</summary>
    public int Count => order.Length;

    /// <summary>Items left to encode.</summary>
    public int Left => order.Length - next;

    /// <summary>Share of requests whose items have their vector.</summary>
    public double Share => total == 0 ? 1 : (double)done / total;

    /// <summary>Core time spent on it.</summary>
    public TimeSpan Spent { get; set; }

    /// <summary>The next slots, most requested first; empty at the end.</summary>
    public ReadOnlySpan<int> Take(int count)
    {
        var taken = order.AsSpan(next, Math.Min(count, Left));
        for (var i = 0; i < taken.Length; i++)
            done += weights[next + i];
        next += taken.Length;
        return taken;
    }

    /// <summary>Lets the swap go on if enough is done; call it when what was taken is written.</summary>
    public void Report()
    {
        if (Left == 0 || Share >= CoveredShare)
            covered.TrySetResult();
    }

    public void Fail(Exception e) => covered.TrySetException(e);
}
