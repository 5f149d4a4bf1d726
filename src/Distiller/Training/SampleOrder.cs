using KdServing.Contracts;

namespace KdServing.Distiller.Training;

/// <summary>The order in which an epoch visits what is learned from files: a function of seed and epoch alone, so that a resumed run repeats it.</summary>
public static class SampleOrder
{
    /// <summary>A permutation of 0 .. count − 1 (Fisher, Yates; Durstenfeld 1964).</summary>
    public static int[] Of(int count, ulong seed, int epoch)
    {
        var order = new int[count];
        for (var i = 0; i < count; i++)
            order[i] = i;
        var state = FeatureHash.Mix(seed ^ FeatureHash.Mix((ulong)epoch + 1));
        for (var i = count - 1; i > 0; i--)
        {
            state = FeatureHash.Mix(state);
            // The product's high half is uniform to 2^-32 for every count that fits an array.
            var j = (int)(((state >> 32) * (ulong)(i + 1)) >> 32);
            (order[i], order[j]) = (order[j], order[i]);
        }
        return order;
    }

    /// <summary>The items in the order of an epoch.</summary>
    public static IEnumerable<T> Shuffled<T>(IReadOnlyList<T> items, ulong seed, int epoch) => Of(items.Count, seed, epoch).Select(i => items[i]);
}
