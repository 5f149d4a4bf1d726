using TorchSharp.Interop;

namespace TorchSharp.Modules;

/// <summary>Settings that Adam and AdamW share.</summary>
public abstract class AdamOptions : OptimizerOptions
{
    public double? beta1;
    public double? beta2;
    public double? eps;
    public double? weight_decay;
    public bool? amsgrad;
    public bool? maximize;

    internal (double, double) Betas
    {
        set => (beta1, beta2) = value;
    }

    public override void LoadStateDict(OptimizerOptions source)
    {
        var from = (AdamOptions)source;
        (LearningRate, InitialLearningRate) = (from.LearningRate, from.InitialLearningRate);
        (beta1, beta2, eps, weight_decay, amsgrad, maximize) = (from.beta1, from.beta2, from.eps, from.weight_decay, from.amsgrad, from.maximize);
    }

    public override void LoadStateDict(BinaryReader reader)
    {
        InitialLearningRate = reader.ReadDouble();
        LearningRate = reader.ReadDouble();
        (beta1, beta2, eps, weight_decay) = (reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble());
        (amsgrad, maximize) = (reader.ReadBoolean(), reader.ReadBoolean());
    }

    public override void SaveStateDict(BinaryWriter writer)
    {
        foreach (var number in (double?[])[InitialLearningRate, LearningRate, beta1, beta2, eps, weight_decay])
            writer.Write(number!.Value);
        writer.Write(amsgrad!.Value);
        writer.Write(maximize!.Value);
    }
}

/// <summary>Step count and moments of one parameter; tensors of the parameter's shape.</summary>
public abstract class AdamState(Parameter parameter) : OptimizerState(parameter)
{
    public long step;
    public torch.Tensor exp_avg = null!;
    public torch.Tensor exp_avg_sq = null!;
    public torch.Tensor? max_exp_avg_sq;

    public override void Initialize(OptimizerOptions options)
    {
        step = 0;
        exp_avg = torch.zeros_like(_parameter).DetachFromDisposeScope();
        exp_avg_sq = torch.zeros_like(_parameter).DetachFromDisposeScope();
        max_exp_avg_sq = ((AdamOptions)options).amsgrad == true ? torch.zeros_like(_parameter).DetachFromDisposeScope() : null;
    }

    public override void to(torch.Device device)
    {
        exp_avg = StateTensor.Moved(exp_avg, device);
        exp_avg_sq = StateTensor.Moved(exp_avg_sq, device);
        max_exp_avg_sq = max_exp_avg_sq is null ? null : StateTensor.Moved(max_exp_avg_sq, device);
    }

    public override void LoadStateDict(OptimizerState source)
    {
        var from = (AdamState)source;
        step = from.step;
        StateTensor.Copy(exp_avg, from.exp_avg);
        StateTensor.Copy(exp_avg_sq, from.exp_avg_sq);
        if (max_exp_avg_sq is not null && from.max_exp_avg_sq is not null)
            StateTensor.Copy(max_exp_avg_sq, from.max_exp_avg_sq);
    }

    public override void LoadStateDict(BinaryReader reader)
    {
        step = reader.ReadInt64();
        exp_avg.Load(reader);
        exp_avg_sq.Load(reader);
        if (!reader.ReadBoolean())
            return;
        max_exp_avg_sq ??= torch.zeros_like(_parameter).DetachFromDisposeScope();
        max_exp_avg_sq.Load(reader);
    }

    public override void SaveStateDict(BinaryWriter writer)
    {
        writer.Write(step);
        exp_avg.Save(writer);
        exp_avg_sq.Save(writer);
        writer.Write(max_exp_avg_sq is not null);
        max_exp_avg_sq?.Save(writer);
    }

    public override bool ApproximatelyEquals(OptimizerState other) =>
        other is AdamState state && step == state.step && exp_avg.allclose(state.exp_avg) && exp_avg_sq.allclose(state.exp_avg_sq)
        && (max_exp_avg_sq is null || (state.max_exp_avg_sq is not null && max_exp_avg_sq.allclose(state.max_exp_avg_sq)));

    protected override void Dispose(bool disposing)
    {
        exp_avg.Dispose();
        exp_avg_sq.Dispose();
        max_exp_avg_sq?.Dispose();
    }
}

/// <summary>Moving and copying the tensors an optimiser keeps.</summary>
internal static class StateTensor
{
    internal static torch.Tensor Moved(torch.Tensor tensor, torch.Device device) => tensor.to(device, disposeAfter: true).DetachFromDisposeScope();

    internal static void Copy(torch.Tensor target, torch.Tensor source)
    {
        using var grad = torch.no_grad();
        target.copy_(source).Dispose();
    }
}

/// <summary>One native call for all parameters of a group.</summary>
internal static unsafe class AdamStep
{
    internal static void Take(AdamOptions options, Parameter[] parameters, AdamState[] states, bool decoupled)
    {
        using var gradients = new Gradients(parameters);
        var steps = new long[states.Length];
        for (var i = 0; i < states.Length; i++)
            steps[i] = gradients.Handles[i] == 0 ? states[i].step : ++states[i].step;
        var averages = Array.ConvertAll(states, s => s.exp_avg.Handle);
        var squares = Array.ConvertAll(states, s => s.exp_avg_sq.Handle);
        var maxima = options.amsgrad!.Value ? Array.ConvertAll(states, s => s.max_exp_avg_sq!.Handle) : null;
        fixed (nint* p = gradients.Parameters, g = gradients.Handles, m = averages, v = squares, x = maxima)
        fixed (long* t = steps)
            NativeMethods.Check(NativeMethods.kd_adam_step(p, g, m, v, x, t, steps.Length, options.LearningRate!.Value, options.beta1!.Value,
                options.beta2!.Value, options.eps!.Value, options.weight_decay!.Value, decoupled ? 1 : 0, options.maximize!.Value ? 1 : 0));
    }
}
