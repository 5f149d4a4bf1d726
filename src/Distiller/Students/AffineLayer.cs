using System.Runtime.InteropServices;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Students;

/// <summary>A <see cref="DenseLayer"/> that learns: y = x·Wᵀ + b.</summary>
internal sealed class AffineLayer : Module<Tensor, Tensor>
{
    private readonly Parameter weight;
    private readonly Parameter? bias;
    private readonly DenseLayer shape;

    public AffineLayer(DenseLayer layer) : base("affine")
    {
        shape = layer;
        weight = new(tensor(layer.Weight, [layer.Outputs, layer.Inputs]));
        register_parameter("weight", weight);
        if (layer.Bias is not null)
        {
            bias = new(tensor(layer.Bias));
            register_parameter("bias", bias);
        }
    }

    public int Inputs => shape.Inputs;

    public override Tensor forward(Tensor input) => functional.linear(input, weight, bias);

    public DenseLayer ToDense() => shape with { Weight = Floats(weight), Bias = bias is null ? null : Floats(bias) };

    private static float[] Floats(Tensor tensor)
    {
        using var dense = tensor.detach().cpu();
        return MemoryMarshal.Cast<byte, float>(dense.bytes).ToArray();
    }
}
