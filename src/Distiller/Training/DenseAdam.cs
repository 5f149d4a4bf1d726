using KdServing.Contracts;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace KdServing.Distiller.Training;

/// <summary><c>optimizer.dense</c> of distiller.json.</summary>
public sealed record DenseOptimizerOptions
{
    public double LearningRate { get; init; } = 1e-3;

    public double Beta1 { get; init; } = 0.9;

    public double Beta2 { get; init; } = 0.999;

    public double Epsilon { get; init; } = 1e-8;

    /// <exception cref="ContractException">Names the field.</exception>
    public DenseOptimizerOptions Require(string field)
    {
        if (!(LearningRate > 0) || !double.IsFinite(LearningRate))
            throw new ContractException($"{field}.learning_rate", "must be above 0");
        if (!(Beta1 is >= 0 and < 1))
            throw new ContractException($"{field}.beta1", "must lie in [0, 1)");
        if (!(Beta2 is >= 0 and < 1))
            throw new ContractException($"{field}.beta2", "must lie in [0, 1)");
        if (!(Epsilon > 0))
            throw new ContractException($"{field}.epsilon", "must be above 0");
        return this;
    }
}

/// <summary>Adam (Kingma, Ba 2015) whose state is named tensors, so that a checkpoint can hold it in an open format.</summary>
/// <remarks><c>torch.optim.Adam</c> saves its state in a format of TorchSharp's own, which is why it is not used here.</remarks>
public sealed class DenseAdam : IDisposable
{
    private readonly DenseOptimizerOptions options;
    private readonly List<(string Name, Parameter Parameter, Tensor Mean, Tensor Square)> moments = [];

    public DenseAdam(IEnumerable<(string Name, Parameter Parameter)> parameters, DenseOptimizerOptions options)
    {
        this.options = options;
        foreach (var (name, parameter) in parameters)
            moments.Add((name, parameter, Zeros(parameter), Zeros(parameter)));
    }

    /// <summary>Steps taken.</summary>
    public long Steps { get; set; }

    /// <summary>First and second moments by parameter name, of the parameter's shape; live tensors.</summary>
    public IEnumerable<(string Name, Tensor Mean, Tensor Square)> Moments => moments.Select(m => (m.Name, m.Mean, m.Square));

    /// <summary>One step by the parameters' gradients, which are cleared.</summary>
    public void Step()
    {
        Steps++;
        using var quiet = no_grad();
        using var scope = NewDisposeScope();
        var step = options.LearningRate / (1 - Math.Pow(options.Beta1, Steps));
        var correction = 1 / Math.Sqrt(1 - Math.Pow(options.Beta2, Steps));
        foreach (var (_, parameter, mean, square) in moments)
        {
            if (parameter.grad is not { } gradient)
                continue;
            mean.mul_(options.Beta1).add_(gradient, 1 - options.Beta1);
            square.mul_(options.Beta2).addcmul_(gradient, gradient, 1 - options.Beta2);
            parameter.addcdiv_(mean, square.sqrt().mul_(correction).add_(options.Epsilon), -step);
            gradient.zero_();
        }
    }

    public void Dispose()
    {
        foreach (var (_, _, mean, square) in moments)
        {
            mean.Dispose();
            square.Dispose();
        }
    }

    private static Tensor Zeros(Parameter parameter) => zeros(parameter.shape, dtype: parameter.dtype, device: parameter.device).DetachFromDisposeScope();
}
