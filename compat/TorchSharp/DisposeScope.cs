namespace TorchSharp;

/// <summary>
/// Disposes, when it ends, every tensor created on its thread while it was the innermost scope, unless that was moved
/// out or detached. Not thread-safe: a scope belongs to the thread that opened it.
/// </summary>
public sealed class DisposeScope : IDisposable
{
    private readonly DisposeScopeManager _manager;
    private HashSet<IDisposable> _disposables = new(ReferenceEqualityComparer.Instance);

    public DisposeScope(DisposeScopeManager disposeScopeManager)
    {
        _manager = disposeScopeManager ?? throw new ArgumentNullException(nameof(disposeScopeManager));
        OuterScope = disposeScopeManager.CurrentDisposeScope;
    }

    internal DisposeScope? OuterScope { get; set; }

    /// <summary>A copy of what the scope holds now.</summary>
    public IReadOnlyList<IDisposable> DisposablesView => [.. _disposables];

    public int DisposablesCount => _disposables.Count;

    public T Include<T>(T disposable) where T : IDisposable
    {
        AddTo(this, disposable);
        return disposable;
    }

    /// <summary>Hands a disposable to the enclosing scope; without one it is on its own afterwards.</summary>
    public T MoveToOuter<T>(T disposable) where T : IDisposable => MoveToOther(OuterScope, disposable);

    public (T1 first, T2 second) MoveToOuter<T1, T2>(T1 first, T2 second) where T1 : IDisposable where T2 : IDisposable =>
        (MoveToOuter(first), MoveToOuter(second));

    public (T1 first, T2 second, T3 third) MoveToOuter<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable =>
        (MoveToOuter(first), MoveToOuter(second), MoveToOuter(third));

    public void MoveToOuter(params IDisposable[] disposables) => MoveToOther(OuterScope, (IEnumerable<IDisposable>)disposables);

    public void MoveToOuter(IEnumerable<IDisposable> disposables) => MoveToOther(OuterScope, disposables);

    public T MoveToOther<T>(DisposeScope? scope, T disposable) where T : IDisposable
    {
        if (_disposables.Remove(disposable))
            AddTo(scope, disposable);
        return disposable;
    }

    public void MoveToOther(DisposeScope? scope, params IDisposable[] disposables) => MoveToOther(scope, (IEnumerable<IDisposable>)disposables);

    public void MoveToOther(DisposeScope? scope, IEnumerable<IDisposable> disposables)
    {
        foreach (var disposable in disposables)
            MoveToOther(scope, disposable);
    }

    /// <summary>Takes a disposable out of all scopes: whoever holds it disposes it.</summary>
    public T Detach<T>(T disposable) where T : IDisposable
    {
        if (_disposables.Remove(disposable))
        {
            _manager.StatisticsInstance.DetachedFromScopeCount++;
            if (disposable is torch.Tensor tensor)
                tensor.OwningDisposeScope = null;
        }
        return disposable;
    }

    public (T1 first, T2 second) Detach<T1, T2>(T1 first, T2 second) where T1 : IDisposable where T2 : IDisposable =>
        (Detach(first), Detach(second));

    public void Detach(params IDisposable[] disposables) => Detach((IEnumerable<IDisposable>)disposables);

    public void Detach(IEnumerable<IDisposable> disposables)
    {
        foreach (var disposable in disposables)
            Detach<IDisposable>(disposable);
    }

    public T Attach<T>(T disposable) where T : IDisposable
    {
        _manager.StatisticsInstance.AttachedToScopeCount++;
        AddTo(this, disposable);
        return disposable;
    }

    public void DisposeEverything() => DisposeEverythingBut([]);

    public void DisposeEverythingBut(IEnumerable<IDisposable> inKeep)
    {
        var all = _disposables;
        _disposables = new HashSet<IDisposable>(inKeep, ReferenceEqualityComparer.Instance);
        foreach (var disposable in all)
        {
            if (_disposables.Contains(disposable))
                continue;
            _manager.StatisticsInstance.DisposedInScopeCount++;
            if (disposable is torch.Tensor tensor)
                tensor.Release();
            else
                disposable.Dispose();
        }
    }

    public void DisposeEverythingBut(params IDisposable[] keep) => DisposeEverythingBut((IEnumerable<IDisposable>)keep);

    public T DisposeEverythingBut<T>(T keep) where T : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[keep]);
        return keep;
    }

    /// <summary>Says that something the scope holds has been disposed by hand.</summary>
    public void MarkAsDisposed(IDisposable disposable)
    {
        _manager.StatisticsInstance.DisposedInScopeCount++;
        _disposables.Remove(disposable);
        if (disposable is torch.Tensor tensor)
            tensor.OwningDisposeScope = null;
    }

    public bool Contains(IDisposable disposable) => _disposables.Contains(disposable);

    public void Dispose()
    {
        DisposeEverything();
        _manager.RemoveDisposeScope(this);
    }

    internal void Add(IDisposable disposable) => _disposables.Add(disposable);

    private static void AddTo(DisposeScope? scope, IDisposable disposable)
    {
        scope?._disposables.Add(disposable);
        if (disposable is torch.Tensor tensor)
        {
            if (tensor.OwningDisposeScope is { } owner && owner != scope)
                owner._disposables.Remove(tensor);
            tensor.OwningDisposeScope = scope;
        }
    }
}
