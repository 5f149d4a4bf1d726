using KdServing.Contracts;
using KdServing.Distiller.Students;

namespace KdServing.Tests;

/// <summary>Dense students of random weights, of the usual sizes.</summary>
public static class RandomStudent
{
    private const int FirstWidth = 32;

    public static DenseStudent Make(string family, FeatureSchema schema, int seed)
    {
        var random = new Random(seed);
        var signature = new StudentSignature(family, schema.User.Width, schema.Item.Width, schema.Live.Width, FirstWidth, FirstWidth, schema.Targets);
        var (hasLive, targets) = (schema.Live.Width > 0, schema.Targets.Count);
        return family == "mlp"
            ? new DenseMlp(signature,
                Layer(random, schema.User.Width, FirstWidth),
                Layer(random, schema.Item.Width, FirstWidth, bias: false),
                hasLive ? Layer(random, schema.Live.Width, FirstWidth, bias: false) : null,
                [Layer(random, FirstWidth, 16)],
                Layer(random, 16, targets))
            : new DenseTwoTower(signature,
                [Layer(random, schema.User.Width, 48), Layer(random, 48, FirstWidth)],
                [Layer(random, schema.Item.Width, 48), Layer(random, 48, FirstWidth)],
                Layer(random, FirstWidth, targets),
                hasLive ? [Layer(random, schema.Live.Width, 8), Layer(random, 8, targets)] : []);
    }

    private static DenseLayer Layer(Random random, int inputs, int outputs, bool bias = true)
    {
        var scale = 1 / Math.Sqrt(inputs);
        return new(Values(inputs * outputs), bias ? Values(outputs) : null, inputs, outputs);

        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)((random.NextDouble() * 2 - 1) * scale))];
    }
}
