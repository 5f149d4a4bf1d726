using KdServing.Serving.Catalog;

namespace KdServing.Serving.Tests.Catalog;

/// <summary>Lets a catalog make so many steps of filling and then holds it; items come and go all the same.</summary>
internal sealed class StepGate : IDisposable
{
    private readonly SemaphoreSlim allowed;
    private volatile bool open;

    public StepGate(ItemCatalog catalog, int steps)
    {
        allowed = new(steps);
        catalog.BeforeStep = () => open ? Task.CompletedTask : allowed.WaitAsync();
    }

    public void OpenForGood()
    {
        open = true;
        allowed.Release(1000);
    }

    public void Dispose() => OpenForGood();
}
