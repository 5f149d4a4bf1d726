using System.Diagnostics;

namespace KdServing.Tests;

/// <summary>Waits for what another thread or process brings about, and says in the end what it waited for in vain.</summary>
public static class Eventually
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan UsualPatience = TimeSpan.FromSeconds(30);

    public static Task HoldsAsync(Func<bool> condition, string what, TimeSpan? patience = null) =>
        HoldsAsync(() => Task.FromResult(condition()), () => what, patience);

    /// <param name="what">Asked for when it was in vain.</param>
    public static async Task HoldsAsync(Func<Task<bool>> condition, Func<string> what, TimeSpan? patience = null)
    {
        var (most, watch) = (patience ?? UsualPatience, Stopwatch.StartNew());
        while (!await condition())
        {
            if (watch.Elapsed > most)
                Assert.Fail($"waited {most.TotalSeconds} s in vain: {what()}");
            await Task.Delay(Pause);
        }
    }
}
