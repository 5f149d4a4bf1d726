using System.Globalization;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Teachers;
using Spectre.Console;
using TorchSharp;

namespace KdServing.LoadTests.Teaching;

/// <summary>One run of <c>kd teach</c>, from the options to the exit code.</summary>
internal sealed class TeachRun(TeachOptions options)
{
    private const double LineSeconds = 5;
    private const double StreamLineSeconds = 10;

    /// <exception cref="ContractException">A configuration or a cached file is not valid.</exception>
    /// <exception cref="DatasetException">The data is not as described.</exception>
    public int Run(CancellationToken cancellation)
    {
        // One compute thread a process: the machine's other cores belong to serving and the Distiller.
        torch.set_num_threads(1);
        var reader = DatasetReader.Open(options.Data, options.Samples ?? SampleCatalog.FindRoot());
        var schema = FeatureSchema.Load(Path.Combine(reader.SamplePath, "schema.json"));
        var config = TeacherConfig.Load(options.Config ?? Path.Combine(reader.SamplePath, "teacher.json"));
        using var teacher = new Teacher(schema, config, options.Seed);
        using var report = new StatusReport(options.Status);
        Say($"teacher '{config.Name}': DCN-V2 over {teacher.Network.Width} inputs, {teacher.Network.parameters().Sum(p => p.numel()):N0} dense weights, {teacher.ParameterCount:N0} parameters");
        try
        {
            Prepare(reader, teacher, report, cancellation);
            if (options.PrepareOnly)
            {
                report.Current = report.Current with { Phase = TeacherPhase.Done, Progress = 1 };
                return 0;
            }
            Stream(reader, teacher, report, cancellation);
            return 0;
        }
        catch (OperationCanceledException)
        {
            report.Current = report.Current with { Phase = TeacherPhase.Stopped };
            Say("stopped");
            return 0;
        }
    }

    private void Prepare(DatasetReader reader, Teacher teacher, StatusReport report, CancellationToken cancellation)
    {
        var cache = new TeacherCache(options.Cache, reader, options.Data, teacher, options.Seed, options.PrepareSeconds);
        if (cache.TryLoad(teacher) is { } cached)
        {
            Say($"prepared before ({cache.Key}): {Text(cached)}");
            return;
        }
        Say($"learning the history before the replay, at most {options.PrepareSeconds:F0} s");
        var prepared = AnsiConsole.Profile.Capabilities.Interactive && !Console.IsOutputRedirected
            ? AnsiConsole.Progress().Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn())
                .Start(context =>
                {
                    var bar = context.AddTask("preparing the teacher");
                    return Preparation(reader, teacher, report, (way, learned, metrics) =>
                    {
                        bar.Value = 100 * way;
                        bar.Description = $"preparing the teacher: {learned:N0} impressions, {metrics}";
                    }).Run(cancellation);
                })
            : Preparation(reader, teacher, report, Lines()).Run(cancellation);
        cache.Save(teacher, prepared);
        Say($"prepared: {Text(prepared)}");
    }

    private TeacherPreparation Preparation(DatasetReader reader, Teacher teacher, StatusReport report, Action<double, long, ProgressiveMetrics> show) =>
        new(reader, teacher, options.PrepareSeconds)
        {
            Progress = (way, learned, metrics) =>
            {
                report.Current = report.Current with
                {
                    Progress = way,
                    Gauc = metrics.Gauc,
                    TeacherVersion = teacher.Version,
                };
                show(way, learned, metrics);
            },
            Window = (learned, metrics) => Say($"  {learned,7:N0} impressions learned; the last {TeacherPreparation.WindowImpressions:N0}: {metrics}"),
        };

    private static Action<double, long, ProgressiveMetrics> Lines()
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var next = LineSeconds;
        return (way, learned, _) =>
        {
            if (clock.Elapsed.TotalSeconds < next)
                return;
            next += LineSeconds;
            Say($"  {way:P0}, {learned:N0} impressions, {learned / clock.Elapsed.TotalSeconds:F0}/s");
        };
    }

    private static Action StreamLines(StatusReport report)
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var next = StreamLineSeconds;
        return () =>
        {
            if (clock.Elapsed.TotalSeconds < next)
                return;
            next += StreamLineSeconds;
            var s = report.Current;
            var at = DateTimeOffset.FromUnixTimeMilliseconds(s.EventTimeMs).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
            Say($"  {s.Produced,9:N0} records, {s.RecordsPerSecond:F0}/s, at {at} UTC, version {s.TeacherVersion}: GAUC {s.Gauc ?? double.NaN:F4}  AUC {s.Auc ?? double.NaN:F4}");
        };
    }

    private void Stream(DatasetReader reader, Teacher teacher, StatusReport report, CancellationToken cancellation)
    {
        var positionFile = options.Status is null ? null : options.Status + ".position";
        var position = ReplayPosition.Load(positionFile, reader.Name);
        if (position.Produced > 0)
            Continue(teacher, position, positionFile);

        using var connection = RedisConnection.Open(options.Redis, cancellation);
        using var stream = new TeacherStream(reader, teacher, connection.GetDatabase(), new()
        {
            Model = options.Model ?? teacher.Schema.Name,
            Rate = options.Rate,
            PaceBy = options.PaceBy,
            ProducedLog = options.ProducedLog,
            LabelDelaySeconds = options.LabelDelaySeconds,
            PositionFile = positionFile,
            Seconds = options.Seconds,
        }, report, position)
        {
            BatchStreamed = StreamLines(report),
        };
        report.Current = report.Current with { Phase = TeacherPhase.Streaming, Progress = 0, Auc = null, Gauc = null };
        Say($"streaming to {options.Redis} as producer {stream.ProducerId}");
        var phase = stream.Run(cancellation);
        var total = Math.Max(1e-9, stream.Phases.TotalSeconds);
        Say($"{(phase == TeacherPhase.Done ? "done" : "stopped")}: {stream.Metrics.Impressions:N0} impressions in {total:F0} s ({stream.Metrics.Impressions / total:F0}/s, busy {stream.Phases.BusySeconds / total:P0}); {stream.Metrics}");
        Say($"  {stream.Phases}; {stream.Metrics.Impressions / Math.Max(1e-9, stream.Phases.BusySeconds):F0} impressions a busy second");
        // Every append has been awaited; asking for it again makes release 1.2.6 wait out its syncTimeout.
        connection.Close(allowCommandsToComplete: false);
    }

    /// <summary>Takes the weights a killed teacher saved last; those of the preparation when there are none.</summary>
    private static void Continue(Teacher teacher, ReplayPosition position, string? positionFile)
    {
        var weights = TeacherStream.WeightsFile(positionFile);
        if (weights is not null && File.Exists(weights))
            TeacherCheckpoint.Load(teacher, weights);
        var at = DateTimeOffset.FromUnixTimeMilliseconds(position.EventTimeMs).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        Say($"continuing a replay: {position.Produced:N0} records were written, the last one of {at} UTC, by version {position.TeacherVersion}; a new producer begins");
    }

    private static string Text(PreparationReport prepared) => string.Create(CultureInfo.InvariantCulture,
        $"{prepared.Impressions:N0} impressions in {prepared.Seconds:F0} s{(prepared.Skipped > 0 ? $" ({prepared.Skipped:N0} passed over for time)" : "")}; on the newest, before learning them: GAUC {prepared.Gauc ?? double.NaN:F4}  AUC {prepared.Auc ?? double.NaN:F4}  log loss {prepared.Logloss ?? double.NaN:F4}");

    private static void Say(FormattableString text) => Console.WriteLine("kd teach: " + text.ToString(CultureInfo.InvariantCulture));
    private static void Say(string text) => Console.WriteLine("kd teach: " + text);
}
