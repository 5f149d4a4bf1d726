using KdServing.Contracts;

namespace KdServing.Distiller.Students;

/// <summary>Draws the weights of new layers, one after the other, from a seed.</summary>
/// <remarks>
/// Uniform in ±√(6 / (inputs + outputs)) (Glorot, Bengio 2010); biases begin at zero. Our own generator, so that a seed means the
/// same weights whatever torch is installed.
/// </remarks>
internal sealed class InitialWeights(ulong seed)
{
    private ulong state = FeatureHash.Mix(seed);

    /// <param name="fanIn">Inputs of the whole layer when this is one block of it; 0: <paramref name="inputs"/>.</param>
    public DenseLayer Layer(int inputs, int outputs, bool hasBias = true, float bias = 0, int fanIn = 0)
    {
        var scale = MathF.Sqrt(6f / ((fanIn == 0 ? inputs : fanIn) + outputs));
        var weight = new float[inputs * outputs];
        for (var i = 0; i < weight.Length; i++)
        {
            state = FeatureHash.Mix(state);
            weight[i] = ((state >> 40) * (1f / (1 << 23)) - 1f) * scale;
        }
        var biases = hasBias ? new float[outputs] : null;
        biases?.AsSpan().Fill(bias);
        return new(weight, biases, inputs, outputs);
    }

    /// <summary>Layers of these widths in turn.</summary>
    public List<DenseLayer> Tower(int inputs, IReadOnlyList<int> widths)
    {
        var layers = new List<DenseLayer>();
        foreach (var width in widths)
        {
            layers.Add(Layer(inputs, width));
            inputs = width;
        }
        return layers;
    }
}
