using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace KdServing.Distiller.Losses;

/// <summary>mean( softplus(s/T) − σ(t/T)·s/T ): cross entropy of the teacher's probability, both softened by T.</summary>
/// <remarks>dL/ds = (σ(s/T) − σ(t/T)) / (T·N), times T² with <c>scale_by_t2</c>.</remarks>
public sealed class BinaryCrossEntropyLoss(KdLossConfig config) : DistillationLoss(config)
{
    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        config.Block<NoBlock>(null, field);
        RequirePointwise(config, field);
        return new BinaryCrossEntropyLoss(config);
    }

    // EasyRec multiplies the mean by the vector of weights, and the sum of losses then fails on shapes.
    public override bool TakesWeights => !Config.EasyrecCompat;

    public override bool KnowsSlope => Config.PredIsLogits && Config.LabelIsLogits && !Config.EasyrecCompat;

    public override double Slope(in LossSpans input, double scale, Span<float> gradient)
    {
        var n = input.Student.Length;
        if (n == 0)
            return 0;
        var temperature = (float)Config.Temperature;
        var (s, target, loss) = (new float[n], new float[n], new float[n]);
        TensorPrimitives.Divide(input.Student, temperature, s);
        TensorPrimitives.Divide(input.Teacher, temperature, target);
        Logistic.Sigmoid(target, target);
        Logistic.Softplus(s, loss);
        var counting = input.Weights.IsEmpty ? n : Math.Max(1, n - input.Weights.Count(0f));
        var value = 0.0;
        for (var i = 0; i < n; i++)
            value += (loss[i] - (double)target[i] * s[i]) * (input.Weights.IsEmpty ? 1 : input.Weights[i]);
        Logistic.Sigmoid(s, s);
        TensorPrimitives.Subtract(s, target, s);
        if (!input.Weights.IsEmpty)
            TensorPrimitives.Multiply(s, input.Weights, s);
        TensorPrimitives.MultiplyAdd(s, (float)(scale * T2 / (temperature * counting)), gradient, gradient);
        return value * T2 / counting;
    }

    protected override Tensor Compare(LossInput input)
    {
        var (s, t) = SoftenedLogits(input);
        return Mean(functional.softplus(s).sub(t.sigmoid().mul(s)), input.Weights).mul(T2);
    }
}
