namespace KdServing.LoadTests.Chaos;

/// <summary>A Distiller in office, and one that stands by with the same state and repository until the lease is free; one after the other.</summary>
internal sealed class Succession(LearningRun run)
{
    private int starts;

    /// <summary>Name of the one that stands by; empty: nobody does.</summary>
    public string Standby { get; private set; } = "";

    /// <summary>Starts the next one, and waits until it is ready to take over.</summary>
    public async Task StandByAsync(CancellationToken cancellation)
    {
        var name = Standby = $"standby-{++starts}";
        run.System.StartDistiller(name);
        await run.System.UntilAsync(() => Task.FromResult(run.System.Status(name).Text("phase") is not null), LearningRun.StartPatience, "a standby to wait for the lease", cancellation);
    }

    /// <summary>The one that stood by is the Distiller from now on.</summary>
    public void Succeed()
    {
        run.System.Rename(Standby, "distiller");
        Standby = "";
    }

    /// <summary>Nobody stands by any more.</summary>
    public async Task DismissAsync()
    {
        if (Standby.Length > 0)
            await run.System.KillAsync(Standby);
        Standby = "";
    }
}
