using TorchSharp.Interop;

namespace TorchSharp.Modules;

/// <summary>Stochastic gradient descent with momentum (Sutskever et al., 2013), as PyTorch has it.</summary>
public class SGD : OptimizerHelper, torch.optim.IMomentum
{
    private readonly Options _defaults;

    public SGD(IEnumerable<Parameter> parameters, double lr, double momentum = 0.0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false)
        : this([new ParamGroup { Parameters = parameters }], lr, momentum, dampening, weight_decay, nesterov, maximize)
    {
    }

    public SGD(IEnumerable<ParamGroup> parameters, double lr, double momentum = 0.0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false)
    {
        if (lr < 0)
            throw new ArgumentException($"Invalid learning rate: {lr}");
        if (momentum < 0)
            throw new ArgumentException($"Invalid momentum value: {momentum}");
        if (weight_decay < 0)
            throw new ArgumentException($"Invalid weight_decay value: {weight_decay}");
        if (nesterov && (momentum <= 0 || dampening != 0))
            throw new ArgumentException("Nesterov momentum requires a momentum and zero dampening");
        _defaults = new Options
        {
            LearningRate = lr,
            momentum = momentum,
            dampening = dampening,
            weight_decay = weight_decay,
            nesterov = nesterov,
            maximize = maximize,
        };
        foreach (var group in parameters)
            add_param_group(group);
    }

    public double Momentum
    {
        get => _defaults.momentum!.Value;
        set
        {
            foreach (var group in _parameter_groups)
                ((Options)group.Options).momentum = value;
            _defaults.momentum = value;
        }
    }

    public override void add_param_group(Modules.ParamGroup param_group)
    {
        var options = (Options?)param_group.Options ?? new Options();
        options.LearningRate ??= _defaults.LearningRate;
        options.momentum ??= _defaults.momentum;
        options.dampening ??= _defaults.dampening;
        options.weight_decay ??= _defaults.weight_decay;
        options.nesterov ??= _defaults.nesterov;
        options.maximize ??= _defaults.maximize;
        param_group.Options = options;
        Add(param_group, p => new State(p));
    }

    private protected override unsafe void Update(OptimizerOptions options, Parameter[] parameters)
    {
        var o = (Options)options;
        var states = Array.ConvertAll(parameters, StateOf<State>);
        using var gradients = new Gradients(parameters);
        var steps = new long[states.Length];
        var momenta = new nint[states.Length];
        for (var i = 0; i < states.Length && o.momentum != 0; i++)
            if (gradients.Handles[i] != 0)
                (momenta[i], steps[i]) = states[i].Buffer();
        fixed (nint* p = gradients.Parameters, g = gradients.Handles, m = momenta)
        fixed (long* t = steps)
            NativeMethods.Check(NativeMethods.kd_sgd_step(p, g, m, t, steps.Length, o.LearningRate!.Value, o.momentum!.Value, o.dampening!.Value,
                o.weight_decay!.Value, o.nesterov!.Value ? 1 : 0, o.maximize!.Value ? 1 : 0));
    }

    /// <summary>Settings of a parameter group.</summary>
    public class Options : OptimizerOptions
    {
        public double? momentum;
        public double? dampening;
        public double? weight_decay;
        public bool? nesterov;
        public bool? maximize;

        public override void LoadStateDict(OptimizerOptions source)
        {
            var from = (Options)source;
            (LearningRate, InitialLearningRate) = (from.LearningRate, from.InitialLearningRate);
            (momentum, dampening, weight_decay, nesterov, maximize) = (from.momentum, from.dampening, from.weight_decay, from.nesterov, from.maximize);
        }

        public override void LoadStateDict(BinaryReader reader)
        {
            (InitialLearningRate, LearningRate) = (reader.ReadDouble(), reader.ReadDouble());
            (momentum, dampening, weight_decay, nesterov, maximize) = (reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble(), reader.ReadBoolean(), reader.ReadBoolean());
        }

        public override void SaveStateDict(BinaryWriter writer)
        {
            writer.Write(InitialLearningRate);
            writer.Write(LearningRate!.Value);
            writer.Write(momentum!.Value);
            writer.Write(dampening!.Value);
            writer.Write(weight_decay!.Value);
            writer.Write(nesterov!.Value);
            writer.Write(maximize!.Value);
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

    /// <summary>The running direction of one parameter; null before its first step with momentum.</summary>
    public class State(Parameter parameter) : OptimizerState(parameter)
    {
        public torch.Tensor? momentum_buffer;

        public override void Initialize(OptimizerOptions options)
        {
        }

        /// <summary>The buffer, and 1 when this step is the one that fills it.</summary>
        internal (nint buffer, long step) Buffer()
        {
            if (momentum_buffer is not null)
                return (momentum_buffer.Handle, 2);
            momentum_buffer = torch.zeros_like(_parameter).DetachFromDisposeScope();
            return (momentum_buffer.Handle, 1);
        }

        public override void to(torch.Device device) => momentum_buffer = momentum_buffer is null ? null : StateTensor.Moved(momentum_buffer, device);

        public override void LoadStateDict(OptimizerState source)
        {
            var from = ((State)source).momentum_buffer;
            if (from is null)
            {
                momentum_buffer?.Dispose();
                momentum_buffer = null;
                return;
            }
            StateTensor.Copy(momentum_buffer ??= torch.zeros_like(_parameter).DetachFromDisposeScope(), from);
        }

        public override void LoadStateDict(BinaryReader reader)
        {
            if (reader.ReadBoolean())
                (momentum_buffer ??= torch.zeros_like(_parameter).DetachFromDisposeScope()).Load(reader);
            else
                LoadStateDict(new State(_parameter));
        }

        public override void SaveStateDict(BinaryWriter writer)
        {
            writer.Write(momentum_buffer is not null);
            momentum_buffer?.Save(writer);
        }

        public override bool ApproximatelyEquals(OptimizerState other) =>
            other is State state && (momentum_buffer is null || (state.momentum_buffer is not null && momentum_buffer.allclose(state.momentum_buffer)));

        protected override void Dispose(bool disposing) => momentum_buffer?.Dispose();
    }
}
