using KdServing.Distiller.Students;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Methods;

/// <summary>Affine layers with relu between them, the last one without: [N, inputs] → [N, outputs].</summary>
internal sealed class Perceptron : Module<Tensor, Tensor>
{
    private readonly List<AffineLayer> layers = [];

    /// <param name="bias">Where the outputs begin.</param>
    public Perceptron(int inputs, IReadOnlyList<int> hidden, int outputs, InitialWeights weights, float bias = 0) : base("perceptron")
    {
        foreach (var layer in weights.Tower(inputs, hidden))
            Add(layer);
        Add(weights.Layer(hidden.Count == 0 ? inputs : hidden[^1], outputs, bias: bias));
    }

    /// <summary>A last layer of zeros: the network begins as a constant.</summary>
    public static Perceptron Constant(int inputs, IReadOnlyList<int> hidden, int outputs, InitialWeights weights)
    {
        var network = new Perceptron(inputs, hidden, outputs, weights);
        using var quiet = no_grad();
        foreach (var (_, parameter) in network.layers[^1].named_parameters())
            parameter.zero_();
        return network;
    }

    /// <summary>What enters the last layer; [N, hidden[^1]], or the input without hidden layers.</summary>
    public Tensor Hidden(Tensor input) => HiddenLayers(input) is [.., var last] ? last : input;

    /// <summary>The hidden layers in turn, after their relu; [N, hidden[k]] each.</summary>
    public List<Tensor> HiddenLayers(Tensor input)
    {
        var hidden = new List<Tensor>();
        foreach (var layer in layers.SkipLast(1))
            hidden.Add(input = functional.relu(layer.forward(input)));
        return hidden;
    }

    /// <summary>The last layer alone.</summary>
    public Tensor Last(Tensor hidden) => layers[^1].forward(hidden);

    public override Tensor forward(Tensor input) => Last(Hidden(input));

    private void Add(DenseLayer layer)
    {
        layers.Add(new(layer));
        register_module($"layer_{layers.Count - 1}", layers[^1]);
    }
}
