namespace TorchSharp.Modules;

/// <summary>Adam; the decay, if any, is added to the gradient.</summary>
public class Adam : OptimizerHelper, torch.optim.IBetas
{
    private readonly Options _defaults;

    public Adam(IEnumerable<Parameter> parameters, double lr = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8,
        double weight_decay = 0, bool amsgrad = false, bool maximize = false)
        : this([new ParamGroup { Parameters = parameters }], lr, beta1, beta2, eps, weight_decay, amsgrad, maximize)
    {
    }

    public Adam(IEnumerable<ParamGroup> parameters, double lr = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8,
        double weight_decay = 0, bool amsgrad = false, bool maximize = false)
    {
        if (lr < 0)
            throw new ArgumentException($"Invalid learning rate: {lr}");
        if (eps < 0)
            throw new ArgumentException($"Invalid ε: {eps}");
        if (beta1 is < 0 or >= 1)
            throw new ArgumentException($"Invalid beta1: {beta1}");
        if (beta2 is < 0 or >= 1)
            throw new ArgumentException($"Invalid beta2: {beta2}");
        if (weight_decay < 0)
            throw new ArgumentException($"Invalid weight_decay value: {weight_decay}");
        _defaults = new Options
        {
            LearningRate = lr,
            beta1 = beta1,
            beta2 = beta2,
            eps = eps,
            weight_decay = weight_decay,
            amsgrad = amsgrad,
            maximize = maximize,
        };
        foreach (var group in parameters)
            add_param_group(group);
    }

    public (double, double) Betas
    {
        get => (_defaults.beta1!.Value, _defaults.beta2!.Value);
        set
        {
            foreach (var group in _parameter_groups)
                ((Options)group.Options).Betas = value;
            _defaults.Betas = value;
        }
    }

    public override void add_param_group(Modules.ParamGroup param_group)
    {
        var options = (Options?)param_group.Options ?? new Options();
        options.LearningRate ??= _defaults.LearningRate;
        options.beta1 ??= _defaults.beta1;
        options.beta2 ??= _defaults.beta2;
        options.eps ??= _defaults.eps;
        options.weight_decay ??= _defaults.weight_decay;
        options.amsgrad ??= _defaults.amsgrad;
        options.maximize ??= _defaults.maximize;
        param_group.Options = options;
        Add(param_group, p => new State(p));
    }

    private protected override void Update(OptimizerOptions options, Parameter[] parameters) =>
        AdamStep.Take((Options)options, parameters, Array.ConvertAll(parameters, StateOf<State>), decoupled: false);

    /// <summary>Settings of a parameter group.</summary>
    public class Options : AdamOptions
    {
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

        public ParamGroup(IEnumerable<Parameter> parameters, double lr = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8,
            double weight_decay = 0, bool amsgrad = false, bool maximize = false)
            : base(parameters, new Options
            {
                LearningRate = lr,
                beta1 = beta1,
                beta2 = beta2,
                eps = eps,
                weight_decay = weight_decay,
                amsgrad = amsgrad,
                maximize = maximize,
            })
        {
        }
    }

    /// <summary>Moments of one parameter's gradient.</summary>
    public class State(Parameter parameter) : AdamState(parameter)
    {
    }
}
