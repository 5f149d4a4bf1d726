namespace TorchSharp.Modules;

/// <summary>The bookkeeping that all optimisers here share; the name is the real package's.</summary>
public abstract class OptimizerHelper : torch.optim.Optimizer
{
    private readonly Dictionary<Parameter, OptimizerState> _state = new(ReferenceEqualityComparer.Instance);
    private readonly List<Parameter[]> _members = [];

    private protected OptimizerHelper()
    {
    }

    /// <summary>Options and state; the objects themselves, not copies.</summary>
    public virtual StateDictionary state_dict()
    {
        var result = new StateDictionary();
        result.Options.AddRange(_parameter_groups.Select(g => g.Options));
        result.State.AddRange(_members.SelectMany(m => m).Select(p => _state[p]));
        return result;
    }

    /// <summary>Takes over options and copies of the state tensors.</summary>
    public virtual void load_state_dict(StateDictionary state_dict)
    {
        var own = this.state_dict();
        RequireSame(state_dict.Options.Count, own.Options.Count, "parameter groups");
        RequireSame(state_dict.State.Count, own.State.Count, "states");
        for (var i = 0; i < own.Options.Count; i++)
            own.Options[i].LoadStateDict(state_dict.Options[i]);
        for (var i = 0; i < own.State.Count; i++)
            own.State[i].LoadStateDict(state_dict.State[i]);
    }

    public void to(torch.Device device)
    {
        foreach (var state in _state.Values)
            state.to(device);
    }

    public override torch.Tensor? step(Func<torch.Tensor>? closure = null)
    {
        torch.Tensor? loss = null;
        if (closure is not null)
            using (torch.enable_grad())
                loss = closure();
        for (var i = 0; i < _members.Count; i++)
            Update(_parameter_groups[i].Options, _members[i]);
        return loss;
    }

    private protected abstract void Update(OptimizerOptions options, Parameter[] parameters);

    private protected T StateOf<T>(Parameter parameter) where T : OptimizerState => (T)_state[parameter];

    private protected void Add(ParamGroup group, Func<Parameter, OptimizerState> create)
    {
        var members = group.Parameters.ToArray();
        group.Parameters = members;
        group.Options.InitialLearningRate = group.LearningRate;
        foreach (var parameter in members)
        {
            if (_state.ContainsKey(parameter))
                throw new ArgumentException($"A parameter of shape [{string.Join(", ", parameter.shape)}] appears more than once among the optimizer's parameters.");
            using var scope = torch.NewDisposeScope();
            var state = create(parameter);
            state.Initialize(group.Options);
            _state.Add(parameter, state);
        }
        _members.Add(members);
        _parameter_groups.Add(group);
    }

    protected override void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        foreach (var state in _state.Values)
            state.Dispose();
    }

    private static void RequireSame(int given, int own, string what)
    {
        if (given != own)
            throw new ArgumentException($"Invalid optimizer state -- different number of {what}: {given} given, {own} here.");
    }
}
