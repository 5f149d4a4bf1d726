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

    public void save_state_dict(string location)
    {
        using var writer = new BinaryWriter(File.Create(location));
        save_state_dict(writer);
    }

    public void load_state_dict(string location)
    {
        using var reader = new BinaryReader(File.OpenRead(location));
        load_state_dict(reader);
    }

    public void save_state_dict(BinaryWriter writer)
    {
        var state = state_dict();
        writer.Write(GetType().Name);
        writer.Write7BitEncodedInt(state.Options.Count);
        writer.Write7BitEncodedInt(state.State.Count);
        foreach (var options in state.Options)
            options.SaveStateDict(writer);
        foreach (var one in state.State)
            one.SaveStateDict(writer);
    }

    /// <exception cref="InvalidDataException">The stream holds the state of another kind of optimiser.</exception>
    public void load_state_dict(BinaryReader reader)
    {
        var kind = reader.ReadString();
        if (kind != GetType().Name)
            throw new InvalidDataException($"Mismatched optimizer type: expected '{GetType().Name}', but found '{kind}' in the loaded stream.");
        var own = state_dict();
        RequireSame(reader.Read7BitEncodedInt(), own.Options.Count, "parameter groups");
        RequireSame(reader.Read7BitEncodedInt(), own.State.Count, "states");
        foreach (var options in own.Options)
            options.LoadStateDict(reader);
        foreach (var one in own.State)
            one.LoadStateDict(reader);
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
