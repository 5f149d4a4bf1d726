using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>The last layer of a student as <see cref="DenseDots"/> reads it: a row a target, padded with zeros. Immutable.</summary>
internal sealed unsafe class OutputWeights : IDisposable
{
    private readonly NativeBuffer memory = new();

    public OutputWeights(AffineWeights layer)
    {
        (Targets, Width) = (layer.Outputs, DenseDots.Padded(layer.Inputs));
        memory.Reserve((long)(Targets * Width + Targets) * sizeof(float));
        for (var t = 0; t < Targets; t++)
            layer.Weight.AsSpan(t * layer.Inputs, layer.Inputs).CopyTo(new Span<float>(Weight + t * Width, layer.Inputs));
        layer.Bias.CopyTo(new Span<float>(Bias, Targets));
    }

    public int Targets { get; }

    /// <summary>Floats a row.</summary>
    public int Width { get; }

    /// <summary>[Targets, Width].</summary>
    public float* Weight => memory.Floats;

    /// <summary>[Targets].</summary>
    public float* Bias => memory.Floats + Targets * Width;

    public void Dispose() => memory.Dispose();
}
