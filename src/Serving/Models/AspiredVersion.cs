namespace KdServing.Serving.Models;

/// <summary>Which version to serve next: a pure function of what there is.</summary>
public static class AspiredVersion
{
    /// <summary>
    /// The newest version above the one in service that has not been refused; null to stay. A server without a version takes
    /// the newest good one, however old; one that serves never goes back by itself.
    /// </summary>
    /// <param name="present">Versions in the repository, ascending.</param>
    /// <param name="current">The version in service; 0 for none.</param>
    public static long? Next(IReadOnlyList<long> present, long current, Func<long, bool> isRefused)
    {
        for (var i = present.Count - 1; i >= 0 && present[i] > current; i--)
        {
            if (!isRefused(present[i]))
                return present[i];
        }
        return null;
    }
}
