using System.Globalization;
using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Load;

/// <summary>What every mode of the load tester shares: the open connections and what was learned from step to step.</summary>
internal sealed class LoadSession : IDisposable
{
    private readonly List<LoadConnection> connections = [];
    private readonly VersionsSeen versions = new();
    private readonly LoadRunner runner;
    private readonly SwapWindows windows;
    private readonly int? serverPid;
    private long versionBefore;

    /// <exception cref="IOException">The server does not answer.</exception>
    public LoadSession(LoadCall call, IReadOnlyList<EncodedRequest> pool, int connectionCount, int inFlightMax, int tickUs, SwapWindows windows, int? serverPid,
        Action<StepProgress> progress)
    {
        this.windows = windows;
        this.serverPid = serverPid;
        try
        {
            for (var c = 0; c < connectionCount; c++)
                connections.Add(LoadConnection.Open(call, pool, versions));
        }
        catch
        {
            Dispose();
            throw;
        }
        runner = new(connections, versions, pool.Count, inFlightMax, tickUs, call.AbandonMs, progress);
    }

    /// <summary>Why a connection was lost; null: none was.</summary>
    public string? LastLoss => connections.Select(c => c.LastLoss).FirstOrDefault(l => l is not null);

    /// <summary>Requests at times fixed in advance.</summary>
    public Task<StepResult> OpenAsync(string name, double rate, Arrivals arrivals, int seed, double seconds, CancellationToken stop)
    {
        var schedule = new ArrivalSchedule(rate, arrivals, seed);
        return OpenAsync(name, rate, schedule.NextSeconds, seconds, stop);
    }

    /// <inheritdoc cref="LoadRunner.OpenAsync"/>
    public Task<StepResult> OpenAsync(string name, double rate, Func<double> nextSeconds, double seconds, CancellationToken stop) =>
        MeasureAsync(rate, null, seconds, () => runner.OpenAsync(name, nextSeconds, seconds, stop));

    /// <inheritdoc cref="LoadRunner.ClosedAsync"/>
    public Task<StepResult> ClosedAsync(int concurrency, double seconds, CancellationToken stop) => MeasureAsync(null, concurrency, seconds,
        () => runner.ClosedAsync(string.Create(CultureInfo.InvariantCulture, $"{concurrency} in flight"), concurrency, seconds, stop));

    public void Dispose()
    {
        foreach (var connection in connections)
            connection.Dispose();
    }

    private async Task<StepResult> MeasureAsync(double? rate, int? concurrency, double seconds, Func<Task<StepSamples>> run)
    {
        var (self, server) = (ProcessCpu.OwnSeconds(), ServerSeconds());
        var samples = await run();
        var (selfSpent, serverSpent) = (ProcessCpu.OwnSeconds() - self, ServerSeconds() - server);
        await windows.LookAsync();
        var figures = new StepFigures(samples, seconds, windows.Of, versionBefore);
        versionBefore = Math.Max(versionBefore, versions.Newest);
        var answered = Math.Max(1, figures.Requests - figures.Errors.GetValueOrDefault(Outcome.InFlightLimit.Name()));
        return new(samples.Name, rate, concurrency, figures, selfSpent * 1e6 / answered, serverSpent * 1e6 / answered);
    }

    private double? ServerSeconds() => serverPid is { } pid ? ProcessCpu.Seconds(pid) : null;
}

/// <summary>One finished step.</summary>
/// <param name="Rate">Intended requests a second; null in a closed loop.</param>
/// <param name="Concurrency">Requests in flight; null in an open loop.</param>
/// <param name="ClientUs">Processor time this generator took a request, microseconds.</param>
/// <param name="ServerUs">The server's; null when its process is not known.</param>
internal sealed record StepResult(string Name, double? Rate, int? Concurrency, StepFigures Figures, double ClientUs, double? ServerUs);
