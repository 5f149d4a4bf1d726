namespace TorchSharp;

/// <summary>The stack of dispose scopes of one thread.</summary>
public class DisposeScopeManager
{
    [ThreadStatic] private static DisposeScopeManager? s_thread;

    internal static DisposeScopeManager ThreadSingleton => s_thread ??= new DisposeScopeManager();

    /// <summary>Counts for this thread, since it started.</summary>
    public static ThreadDisposeScopeStatistics Statistics => ThreadSingleton.StatisticsInstance;

    internal ThreadDisposeScopeStatistics StatisticsInstance { get; } = new();

    internal DisposeScope? CurrentDisposeScope { get; private set; }

    internal DisposeScope? Register(torch.Tensor tensor)
    {
        if (CurrentDisposeScope is null)
            StatisticsInstance.CreatedOutsideScopeCount++;
        else
        {
            StatisticsInstance.CreatedInScopeCount++;
            CurrentDisposeScope.Add(tensor);
        }
        return CurrentDisposeScope;
    }

    internal DisposeScope NewDisposeScope() => CurrentDisposeScope = new DisposeScope(this);

    internal void RemoveDisposeScope(DisposeScope scope)
    {
        if (CurrentDisposeScope == scope)
        {
            CurrentDisposeScope = scope.OuterScope;
            return;
        }
        for (var inner = CurrentDisposeScope; inner is not null; inner = inner.OuterScope)
            if (inner.OuterScope == scope)
            {
                inner.OuterScope = scope.OuterScope;
                return;
            }
    }
}

/// <summary>How many tensors a thread created and disposed, inside and outside scopes.</summary>
public class ThreadDisposeScopeStatistics
{
    public long CreatedOutsideScopeCount { get; internal set; }

    public long DisposedOutsideScopeCount { get; internal set; }

    public long CreatedInScopeCount { get; internal set; }

    public long DisposedInScopeCount { get; internal set; }

    public long DetachedFromScopeCount { get; internal set; }

    public long AttachedToScopeCount { get; internal set; }

    /// <summary>Tensors of this thread that are alive inside a scope.</summary>
    public long ThreadTotalLiveCount => CreatedOutsideScopeCount + CreatedInScopeCount - DisposedOutsideScopeCount - DisposedInScopeCount;

    public void Reset()
    {
        CreatedOutsideScopeCount = DisposedOutsideScopeCount = CreatedInScopeCount = DisposedInScopeCount = 0;
        DetachedFromScopeCount = AttachedToScopeCount = 0;
    }
}
