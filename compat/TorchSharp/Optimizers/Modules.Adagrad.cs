using TorchSharp.Interop;

namespace TorchSharp.Modules;

/// <summary>Adagrad (Duchi, Hazan and Singer, 2011).</summary>
public class Adagrad : OptimizerHelper
{
    private readonly Options _defaults;

    public Adagrad(IEnumerable<Parameter> parameters, double lr = 1e-2, double lr_decay = 0, double weight_decay = 0, double initial_accumulator_value = 0, double eps = 1e-10)
        : this([new ParamGroup { Parameters = parameters }], lr, lr_decay, weight_decay, initial_accumulator_value, eps)
    {
    }

    public Adagrad(IEnumerable<ParamGroup> parameters, double lr = 1e-2, double lr_decay = 0, double weight_decay = 0, double initial_accumulator_value = 0, double eps = 1e-10)
    {
        if (lr < 0)
            throw new ArgumentException($"Invalid learning rate: {lr}");
        if (lr_decay < 0)
            throw new ArgumentException($"Invalid lr_decay value: {lr_decay}");
        if (weight_decay < 0)
            throw new ArgumentException($"Invalid weight_decay value: {weight_decay}");
        if (initial_accumulator_value < 0)
            throw new ArgumentException($"Invalid initial_accumulator_value: {initial_accumulator_value}");
        if (eps < 0)
            throw new ArgumentException($"Invalid ε: {eps}");
        _defaults = new Options
        {
            LearningRate = lr,
            lr_decay = lr_decay,
            weight_decay = weight_decay,
            initial_accumulator_value = initial_accumulator_value,
            eps = eps,
        };
        foreach (var group in parameters)
            add_param_group(group);
    }

    public override void add_param_group(Modules.ParamGroup param_group)
    {
        var options = (Options?)param_group.Options ?? new Options();
        options.LearningRate ??= _defaults.LearningRate;
        options.lr_decay ??= _defaults.lr_decay;
        options.weight_decay ??= _defaults.weight_decay;
        options.initial_accumulator_value ??= _defaults.initial_accumulator_value;
        options.eps ??= _defaults.eps;
        param_group.Options = options;
        Add(param_group, p => new State(p));
    }

    private protected override unsafe void Update(OptimizerOptions options, Parameter[] parameters)
    {
        var o = (Options)options;
        var states = Array.ConvertAll(parameters, StateOf<State>);
        using var gradients = new Gradients(parameters);
        var steps = new long[states.Length];
        for (var i = 0; i < states.Length; i++)
            steps[i] = gradients.Handles[i] == 0 ? states[i].step : ++states[i].step;
        var sums = Array.ConvertAll(states, s => s.sum.Handle);
        fixed (nint* p = gradients.Parameters, g = gradients.Handles, s = sums)
        fixed (long* t = steps)
            NativeMethods.Check(NativeMethods.kd_adagrad_step(p, g, s, t, steps.Length, o.LearningRate!.Value, o.lr_decay!.Value, o.weight_decay!.Value, o.eps!.Value));
    }

    /// <summary>Settings of a parameter group.</summary>
    public class Options : OptimizerOptions
    {
        public double? lr_decay;
        public double? weight_decay;
        public double? initial_accumulator_value;
        public double? eps;

        public override void LoadStateDict(OptimizerOptions source)
        {
            var from = (Options)source;
            (LearningRate, InitialLearningRate) = (from.LearningRate, from.InitialLearningRate);
            (lr_decay, weight_decay, initial_accumulator_value, eps) = (from.lr_decay, from.weight_decay, from.initial_accumulator_value, from.eps);
        }

        public override void LoadStateDict(BinaryReader reader)
        {
            (InitialLearningRate, LearningRate) = (reader.ReadDouble(), reader.ReadDouble());
            (lr_decay, weight_decay, initial_accumulator_value, eps) = (reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble());
        }

        public override void SaveStateDict(BinaryWriter writer)
        {
            writer.Write(InitialLearningRate);
            writer.Write(LearningRate!.Value);
            writer.Write(lr_decay!.Value);
            writer.Write(weight_decay!.Value);
            writer.Write(initial_accumulator_value!.Value);
            writer.Write(eps!.Value);
        }
    }

    /// <summary>Parameters with settings of their own.</summary>
    public class ParamGroup : ParamGroup<Options>
    {
        public ParamGroup()
        {
        }

        public ParamGroup(IEnumerable<Parameter> parameters, Options options) : base(parameters, options)
        {
        }
    }

    /// <summary>Step count and summed squared gradients of one parameter.</summary>
    public class State(Parameter parameter) : OptimizerState(parameter)
    {
        public long step;
        public torch.Tensor sum = null!;

        public override void Initialize(OptimizerOptions options)
        {
            step = 0;
            sum = torch.full_like(_parameter, ((Options)options).initial_accumulator_value!.Value).DetachFromDisposeScope();
        }

        public override void to(torch.Device device) => sum = StateTensor.Moved(sum, device);

        public override void LoadStateDict(OptimizerState source)
        {
            step = ((State)source).step;
            StateTensor.Copy(sum, ((State)source).sum);
        }

        public override void LoadStateDict(BinaryReader reader)
        {
            step = reader.ReadInt64();
            sum.Load(reader);
        }

        public override void SaveStateDict(BinaryWriter writer)
        {
            writer.Write(step);
            sum.Save(writer);
        }

        public override bool ApproximatelyEquals(OptimizerState other) => other is State state && step == state.step && sum.allclose(state.sum);

        protected override void Dispose(bool disposing) => sum.Dispose();
    }
}
