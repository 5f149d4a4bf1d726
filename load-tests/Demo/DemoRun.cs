using System.Diagnostics;
using System.Globalization;
using Spectre.Console;

namespace KdServing.LoadTests.Demo;

/// <summary>One demo, in order: start every part, stream and rank, drain, stop, measure.</summary>
internal sealed class DemoRun(DemoOptions options)
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan PreparePatience = TimeSpan.FromMinutes(6);
    private static readonly TimeSpan DrainPatience = TimeSpan.FromSeconds(90);

    private readonly List<string> messages = [];
    private readonly Stopwatch phaseClock = Stopwatch.StartNew();
    private DemoPhase phase = DemoPhase.Starting;

    /// <summary>Runs it.</summary>
    /// <returns>Null when it was cancelled; every process has been stopped either way.</returns>
    public async Task<DemoReport?> RunAsync(CancellationToken cancellation)
    {
        var dataset = DemoDataset.Open(options.Data);
        using var folder = new DemoFolder(options.Folder);
        Say(dataset.IsSynthetic
            ? "No data given: interactions are generated, with known ground truth. Pass --data DIR for real ones."
            : $"Data: {dataset.Name} from {options.Data}");

        using var parts = new Supervisor(folder, Say);
        var processes = new DemoProcesses(options, dataset, folder);
        Say($"Serving's status page: {processes.StatusPage}");
        var view = new LiveView(AnsiConsole.Console, options.Plain);
        DemoReport? report = null;
        try
        {
            await view.ShowAsync(async show => report = await RunAsync(parts, processes, dataset, folder, show, cancellation));
            return report;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            AnsiConsole.MarkupLine("stopping every process …");
            return null;
        }
        finally
        {
            foreach (var name in new[] { "teacher", "distiller", "serving", "redis" })
                await parts.StopAsync(name, TimeSpan.FromSeconds(20));
        }
    }

    private async Task<DemoReport> RunAsync(Supervisor parts, DemoProcesses processes, DemoDataset dataset, DemoFolder folder,
        Action<DemoState> show, CancellationToken cancellation)
    {
        var redis = parts.Start(processes.Redis);
        await PrivateRedis.WaitAsync(redis, processes.RedisPort, cancellation);
        parts.Start(processes.Serving);
        parts.Start(processes.Distiller);
        parts.Start(processes.Teacher);

        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(2) };
        using var items = options.Catalog ? new CatalogItems(processes.RedisAddress, dataset.Schema) : null;
        await using var traffic = new DemoTraffic(options, dataset, processes.ServingAddress, items);
        var positions = new VersionPositions(new(folder.Repository), dataset.Schema.Name);
        var look = new Look(folder, http, processes.ServingStatusAddress);

        Enter(DemoPhase.Preparing);
        await UntilAsync(() => look.Teacher.Text("phase") is "streaming" or "done", PreparePatience, "the teacher to start streaming");
        Enter(DemoPhase.Streaming);
        double? rssStart = null;
        await UntilAsync(() =>
        {
            if (!traffic.Started && look.Serving.Count("version") > 0)
            {
                rssStart = look.Serving.Number("rss_mb");
                traffic.Start(() => look.Teacher.Count("event_time_ms"));
                Say($"first version served {phaseClock.Elapsed.TotalSeconds:F1} s after the first record");
            }
            return parts["teacher"].HasFinished;
        }, TimeSpan.FromSeconds(options.Seconds) + StartPatience, "the teacher to finish");
        parts.ExpectEnd("teacher");

        // What was written is learned; the last version goes out; requests go on until it answers one.
        Enter(DemoPhase.Draining);
        var produced = ProducedLog.Read(folder.ProducedLog);
        await UntilAsync(() => look.Distiller.Count("consumed") + look.Distiller.Count("dead_lettered") >= produced.Count, DrainPatience,
            "the Distiller to read every record");
        await parts.StopAsync("distiller", DrainPatience);
        await look.RefreshAsync();
        var newest = look.Distiller.Count("newest_version");
        await UntilAsync(() => traffic.Figures.Versions.Any(v => v.Version == newest), TimeSpan.FromSeconds(15), $"version {newest} to answer a request", required: false);
        await traffic.StopAsync();
        await look.RefreshAsync();
        if (items is not null)
        {
            Say(string.Create(CultureInfo.InvariantCulture,
                $"item catalog: {items.Put:N0} items put over Redis; of {traffic.Figures.Requests * options.Candidates:N0} candidates {Catalogued("unknown_candidates"):N0} came before their item and {Catalogued("encoded_by_requests"):N0} were encoded inside their request"));
        }
        Enter(DemoPhase.Done);
        show(State(look, traffic));
        return ReportBuilder.Build(options, dataset, positions, look, traffic, produced, rssStart, parts.Restarts);

        long Catalogued(string figure) => look.Serving.Count("catalog", "figures", figure);

        async Task UntilAsync(Func<bool> done, TimeSpan patience, string what, bool required = true)
        {
            var clock = Stopwatch.StartNew();
            while (true)
            {
                cancellation.ThrowIfCancellationRequested();
                parts.Check();
                traffic.ThrowIfFailed();
                await look.RefreshAsync();
                positions.Update();
                show(State(look, traffic));
                if (done())
                    return;
                if (clock.Elapsed > patience)
                {
                    if (required)
                        throw new DemoException($"waited {patience.TotalSeconds:F0} s for {what}; see the logs in {folder.Logs}");
                    Say($"waited {patience.TotalSeconds:F0} s for {what}");
                    return;
                }
                await Task.Delay(Tick, cancellation);
            }
        }
    }

    private DemoState State(Look look, DemoTraffic traffic) =>
        new(phase, phaseClock.Elapsed, options.Seconds, look.Teacher, look.Distiller, look.Serving, traffic.Figures, [.. messages]);

    private void Enter(DemoPhase next)
    {
        phase = next;
        phaseClock.Restart();
    }

    private void Say(string message) =>
        messages.Add(string.Create(CultureInfo.InvariantCulture, $"{DateTime.Now:HH:mm:ss} {message}"));
}
