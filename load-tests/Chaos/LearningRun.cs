using System.Diagnostics;
using System.Globalization;
using KdServing.Contracts;
using KdServing.LoadTests.Demo;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>A Distiller, or several in succession, that learn what a producer streams while a drill hurts them; then the accounts.</summary>
/// <remarks>
/// <code>
/// await using var run = await LearningRun.StartAsync(options, build, cancellation);
/// // start Distillers, hurt them
/// var report = await run.CloseAsync(cancellation);
/// </code>
/// </remarks>
internal sealed class LearningRun : IAsyncDisposable
{
    public static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan DrainPatience = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(20);

    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly CancellationTokenSource stopProducing = new();
    private readonly ChaosOptions options;
    private readonly DemoFolder folder;
    private readonly ConnectionMultiplexer own;
    private readonly ConnectionMultiplexer theirs;
    private readonly Task producing;

    private LearningRun(ChaosOptions options, DemoFolder folder, ChaosStudent student, ChaosSystem system, LogitStreamWriterOptions? bounds)
    {
        (this.options, this.folder, Student, System) = (options, folder, student, system);
        (own, theirs) = (system.Connect(), system.ConnectProducer());
        Watch = new(new(system.Repository), student.Model, LookInterval);
        Producer = new(theirs.GetDatabase(), student.Schema, student.Model, student.Impressions(), options.Seed, options.PoisonShare, bounds);
        producing = Task.Run(() => Producer.RunAsync(options.RecordRate, stopProducing.Token), CancellationToken.None);
    }

    public ChaosSystem System { get; }

    public ChaosStudent Student { get; }

    public ChaosProducer Producer { get; }

    public RepositoryWatch Watch { get; }

    /// <summary>Past the proxies.</summary>
    public IDatabase Redis => own.GetDatabase();

    /// <summary>Starts Redis and the producer; a Distiller is the drill's to start.</summary>
    /// <param name="build">Makes the system in the run's folder.</param>
    /// <param name="bounds">What the stream may hold; null: the writer's own.</param>
    public static async Task<LearningRun> StartAsync(ChaosOptions options, Func<DemoFolder, ChaosStudent, ChaosSystem> build, CancellationToken cancellation,
        LogitStreamWriterOptions? bounds = null)
    {
        var folder = new DemoFolder(options.Folder);
        var student = ChaosStudent.Prepare(options.Data, Path.Combine(folder.Root, "config"), options.Seed);
        var system = build(folder, student);
        await system.StartRedisAsync(cancellation);
        return new(options, folder, student, system, bounds);
    }

    public bool IsTraining(string name = "distiller") =>
        (name == "distiller" ? System.Distiller : System.Status(name)).Text("phase") == "training";

    /// <summary>Waits until the Distiller in office learns.</summary>
    public Task TrainsAsync(CancellationToken cancellation) =>
        System.UntilAsync(() => Task.FromResult(IsTraining()), StartPatience, "the Distiller to train", cancellation);

    public void Say(string message) => options.Say(string.Create(CultureInfo.InvariantCulture, $"{clock.Elapsed:hh\\:mm\\:ss} {message}"));

    /// <summary>Lets the Distiller in office come to the end of the stream, closes the books, and compares with an undisturbed Distiller.</summary>
    public async Task<ChaosReport> CloseAsync(CancellationToken cancellation)
    {
        await stopProducing.CancelAsync();
        await producing;
        Say("to the end of the stream");
        var end = new StreamEnd(Redis, Student, Producer);
        await CleanStop.RunAsync(System, end.Key, end.LastAsync, DrainPatience, cancellation);
        var records = await new StreamAccount(System, Student, Redis).CloseAsync(Producer);
        Say("the same stream, undisturbed");
        var hash = UndisturbedRun.StateHash(System.State);
        var expected = await UndisturbedRun.HashAsync(records.Stream, Student, Path.Combine(folder.Root, "undisturbed"), cancellation);
        Watch.LookOnce();
        return new()
        {
            Seed = options.Seed,
            Only = options.Only,
            Records = records.Counts,
            Versions = new(Watch.Whole.Count, Watch.Partial.Count, 0),
            WeightsEqualUnkilledRun = hash == expected,
            Figures = new Dictionary<string, double> { ["stream_entries"] = records.Entries },
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
            Broken =
            [
                .. records.Broken, .. System.UnexpectedEnds, .. Watch.Partial.Select(p => $"version {p.Key} was seen in part: {p.Value}"),
                .. Watch.Disorder, .. Watch.Changed(),
                .. hash == expected ? (string[])[] : [$"weights {hash[..12]}… differ from those of the undisturbed run, {expected[..12]}…"],
            ],
        };
    }

    public async ValueTask DisposeAsync()
    {
        await stopProducing.CancelAsync();
        foreach (var connection in (ConnectionMultiplexer[])[own, theirs])
            connection.Close(allowCommandsToComplete: false);
        await Watch.DisposeAsync();
        await System.DisposeAsync();
        folder.Dispose();
        stopProducing.Dispose();
    }
}
