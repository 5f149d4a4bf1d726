using System.Numerics;
using System.Runtime.InteropServices;
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

    /// <summary>One step by the parameters' gradients, which are forgotten. CPU tensors.</summary>
    /// <remarks>
    /// One pass over memory a parameter: as operators of torch it would be eight, each dearer than the small tensor it works on. A
    /// parameter that has no gradient since the last step stays as it is, moments and all: what a method does not train in a stage does
    /// not drift, and a restored learner, which never had gradients, goes on as the saved one.
    /// </remarks>
    public void Step()
    {
        Steps++;
        using var scope = NewDisposeScope();
        var step = new StepSizes((float)(options.LearningRate / (1 - Math.Pow(options.Beta1, Steps))),
            (float)(1 / Math.Sqrt(1 - Math.Pow(options.Beta2, Steps))), (float)options.Beta1, (float)(1 - options.Beta1),
            (float)options.Beta2, (float)(1 - options.Beta2), (float)options.Epsilon);
        foreach (var (_, parameter, mean, square) in moments)
        {
            if (parameter.grad is not { } gradient)
                continue;
            Step(Floats(parameter), Floats(gradient), Floats(mean), Floats(square), step);
            parameter.grad = null;
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

    private static void Step(Span<float> weights, Span<float> gradient, Span<float> mean, Span<float> square, in StepSizes step)
    {
        var lanes = Vector<float>.Count;
        var d = 0;
        for (; d + lanes <= weights.Length; d += lanes)
        {
            var g = new Vector<float>(gradient[d..]);
            var m = new Vector<float>(mean[d..]) * step.Beta1 + g * step.Fresh1;
            var v = new Vector<float>(square[d..]) * step.Beta2 + g * g * step.Fresh2;
            m.CopyTo(mean[d..]);
            v.CopyTo(square[d..]);
            var change = m * step.Rate / (Vector.SquareRoot(v) * step.Correction + new Vector<float>(step.Epsilon));
            (new Vector<float>(weights[d..]) - change).CopyTo(weights[d..]);
        }
        for (; d < weights.Length; d++)
        {
            mean[d] = mean[d] * step.Beta1 + gradient[d] * step.Fresh1;
            square[d] = square[d] * step.Beta2 + gradient[d] * gradient[d] * step.Fresh2;
            weights[d] -= mean[d] * step.Rate / (MathF.Sqrt(square[d]) * step.Correction + step.Epsilon);
        }
    }

    private static Span<float> Floats(Tensor tensor) =>
        tensor.is_contiguous() ? MemoryMarshal.Cast<byte, float>(tensor.bytes) : throw new InvalidOperationException("parameters and gradients must be contiguous");

    private static Tensor Zeros(Parameter parameter) => zeros(parameter.shape, dtype: parameter.dtype, device: parameter.device).DetachFromDisposeScope();

    // Rate = α / (1 − β1ᵗ), Correction = 1 / √(1 − β2ᵗ), Fresh = 1 − β: of doubles, since 1 − 0.999f is off by 10⁻⁵.
    private readonly record struct StepSizes(float Rate, float Correction, float Beta1, float Fresh1, float Beta2, float Fresh2, float Epsilon);
}
