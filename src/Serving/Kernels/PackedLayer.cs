using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>
/// One affine layer, y = W·x + b, laid out for <see cref="DenseTiles"/>: panels of 32 outputs, each [inputs][32], so that a tile
/// reads its weights in order; beside it, where the processor can use them, for <see cref="PairTiles"/> and <see cref="MatrixTiles"/>. Outputs are
/// padded to whole panels with zero weights and zero biases. Immutable; any thread reads.
/// </summary>
internal sealed unsafe class PackedLayer : IDisposable
{
    /// <summary>Outputs a panel: two AVX-512 registers.</summary>
    public const int PanelWidth = 32;

    private readonly NativeBuffer panels = new();
    private readonly NativeBuffer bias = new();

    /// <param name="weight">Row-major [<paramref name="outputs"/>, <paramref name="inputs"/>].</param>
    /// <param name="bias">[<paramref name="outputs"/>]; empty: none.</param>
    public PackedLayer(ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, int inputs, int outputs)
    {
        (Inputs, Outputs, Stride) = (inputs, outputs, Padded(outputs));
        panels.Reserve((long)Stride * inputs * sizeof(float));
        this.bias.Reserve((long)Stride * sizeof(float));
        new Span<float>(panels.Floats, Stride * inputs).Clear();
        new Span<float>(this.bias.Floats, Stride).Clear();
        for (var o = 0; o < outputs; o++)
        {
            var panel = panels.Floats + (long)(o / PanelWidth) * inputs * PanelWidth + o % PanelWidth;
            for (var i = 0; i < inputs; i++)
                panel[(long)i * PanelWidth] = weight[o * inputs + i];
        }
        bias.CopyTo(new Span<float>(this.bias.Floats, Stride));
        if (PairTiles.IsSupported)
            Pairs = new(weight, inputs, outputs);
        if (MatrixUnit.IsSupported)
            Split = new(weight, inputs, outputs);
    }

    public int Inputs { get; }

    public int Outputs { get; }

    /// <summary>Floats a row of the result: outputs rounded up to whole panels.</summary>
    public int Stride { get; }

    /// <summary>Null where vectors are too narrow.</summary>
    public PairWeights? Pairs { get; }

    /// <summary>Null where there is no matrix unit.</summary>
    public SplitWeights? Split { get; }

    /// <summary>[Stride / 32][Inputs][32].</summary>
    public float* Panels => panels.Floats;

    /// <summary>[Stride].</summary>
    public float* Bias => bias.Floats;

    /// <summary>Rounded up to whole panels.</summary>
    public static int Padded(int width) => (width + PanelWidth - 1) / PanelWidth * PanelWidth;

    public void Dispose()
    {
        panels.Dispose();
        bias.Dispose();
        Pairs?.Dispose();
        Split?.Dispose();
    }
}
