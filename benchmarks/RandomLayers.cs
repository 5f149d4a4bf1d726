using KdServing.Distiller.Students;

namespace KdServing.Benchmarks;

/// <summary>Dense weights nobody trained: uniform in ±1/√inputs, so that activations keep their size.</summary>
internal static class RandomLayers
{
    /// <summary>Outputs of the first layer: floats of the user's part and of an item vector.</summary>
    public const int First = 128;

    public const int Second = 64;

    /// <summary>The reference shape over concatenated features: user + item → 128 → 64 → 1, the user's part computed once.</summary>
    public static DenseMlp ReferenceMlp(Random random, int userWidth, int itemWidth, IReadOnlyList<string> targets)
    {
        return new(new("mlp", userWidth, itemWidth, 0, First, First, targets), Layer(random, userWidth, First, true), Layer(random, itemWidth, First, false),
            null, [Layer(random, First, Second, true)], Layer(random, Second, 1, true));
    }

    public static DenseLayer Layer(Random random, int inputs, int outputs, bool bias)
    {
        var scale = (float)(1 / Math.Sqrt(inputs));
        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() * 2 - 1) * scale)];
        return new(Values(inputs * outputs), bias ? Values(outputs) : null, inputs, outputs);
    }
}
