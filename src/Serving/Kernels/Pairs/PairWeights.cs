using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>
/// The weights of one layer as <see cref="PairTiles"/> reads them: panels of 16 outputs, each [inputs rounded up to pairs][16]; an output's weights are scaled by a
/// power of two to a root mean square of 1. Immutable; any thread reads.
/// </summary>
internal sealed unsafe class PairWeights : IDisposable
{
    private readonly NativeBuffer memory = new();
    private readonly int panelFloats;

    /// <param name="weight">Row-major [<paramref name="outputs"/>, <paramref name="inputs"/>].</param>
    public PairWeights(ReadOnlySpan<float> weight, int inputs, int outputs)
    {
        var stride = PackedLayer.Padded(outputs);
        panelFloats = (inputs + inputs % 2) * PairTiles.Outputs;
        memory.Reserve(((long)stride / PairTiles.Outputs * panelFloats + 2 * stride) * sizeof(float));
        Offsets = memory.Floats + (nint)stride / PairTiles.Outputs * panelFloats;
        Inverse = Offsets + stride;
        for (var o = 0; o < outputs; o++)
            Write(o, weight.Slice(o * inputs, inputs));
    }

    /// <summary>[stride] What an output's sum begins with: minus the products of its pairs' weights.</summary>
    public float* Offsets { get; }

    /// <summary>[stride] What takes an output's scale back; 0 where all its weights are 0.</summary>
    public float* Inverse { get; }

    /// <summary>Weights of 16 outputs.</summary>
    /// <param name="column">The first of them.</param>
    public float* Panel(int column) => memory.Floats + (nint)column / PairTiles.Outputs * panelFloats;

    public void Dispose() => memory.Dispose();

    private void Write(int output, ReadOnlySpan<float> weights)
    {
        var squares = 0d;
        foreach (var w in weights)
            squares += (double)w * w;
        if (squares == 0)
            return;
        // A power of two: nothing is rounded. Its inverse is a float too.
        var exponent = Math.Clamp((int)Math.Round(-0.5 * Math.Log2(squares / weights.Length)), -100, 100);
        var scale = float.ScaleB(1, exponent);
        var panel = Panel(output) + output % PairTiles.Outputs;
        var offset = 0d;
        for (var i = 0; i < weights.Length; i++)
        {
            panel[i * PairTiles.Outputs] = weights[i] * scale;
            if (i % 2 == 1)
                offset -= (double)panel[(i - 1) * PairTiles.Outputs] * panel[i * PairTiles.Outputs];
        }
        Offsets[output] = (float)offset;
        Inverse[output] = float.ScaleB(1, -exponent);
    }
}
