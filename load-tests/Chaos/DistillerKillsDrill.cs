using System.Diagnostics;
using System.Globalization;
using KdServing.Contracts;
using KdServing.LoadTests.Demo;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary><c>--only distiller-kills</c>: the Distiller is killed again and again at random moments, from its first instruction on, while records arrive.</summary>
internal static class DistillerKillsDrill
{
    // One kill in four falls anywhere into a start, recovery included; the others find the Distiller at work.
    private const double StartShare = 0.25;
    private const double StartSeconds = 2;
    private const double WorkSeconds = 1;
    private static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan DrainPatience = TimeSpan.FromMinutes(10);

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        using var folder = new DemoFolder(options.Folder);
        var student = ChaosStudent.Prepare(options.Data, Path.Combine(folder.Root, "config"), options.Seed);
        await using var system = new ChaosSystem(folder, student, withDisk: false);
        await system.StartRedisAsync(cancellation);
        await using var watch = new RepositoryWatch(new(system.Repository), student.Model, TimeSpan.FromMilliseconds(20));
        var (own, theirs) = (system.Connect(), system.ConnectProducer());
        using var stopProducing = new CancellationTokenSource();
        var producer = new ChaosProducer(theirs.GetDatabase(), student.Schema, student.Model, student.Impressions(), options.Seed, options.PoisonShare);
        var producing = Task.Run(() => producer.RunAsync(options.RecordRate, stopProducing.Token), CancellationToken.None);
        try
        {
            var random = new Random(options.Seed);
            var whileTraining = 0;
            for (var kill = 1; kill <= count; kill++)
            {
                system.StartDistiller();
                var (early, moment) = (random.NextDouble() < StartShare, random.NextDouble());
                if (!early)
                    await system.UntilAsync(() => Task.FromResult(IsTraining()), StartPatience, "the Distiller to train", cancellation);
                await Task.Delay(TimeSpan.FromSeconds(moment * (early ? StartSeconds : WorkSeconds)), cancellation);
                whileTraining += IsTraining() ? 1 : 0;
                await system.CheckAsync(cancellation);
                await system.KillAsync("distiller");
                if (kill % 20 == 0 || kill == count)
                    Say($"{kill} kills, {whileTraining} of them while it trained; {producer.Acknowledged:N0} records, {watch.Whole.Count} versions");
            }
            await stopProducing.CancelAsync();
            await producing;
            var reader = new LogitStreamReader(own.GetDatabase(), student.Model, student.Schema);
            await producer.PadAsync(reader.AddedAsync, student.BatchRecords);
            Say("one more Distiller, to the end of the stream");
            system.StartDistiller();
            var last = AppendOnlyFile.Entries(folder.Redis).Last(e => e.Key == reader.StreamKey).Id.ToString();
            await system.UntilAsync(() => Task.FromResult(system.Distiller.Text("position", reader.StreamKey) == last), DrainPatience,
                "the Distiller to work through the stream", cancellation);
            await system.StopInOrderAsync("distiller", DrainPatience);

            var records = await new StreamAccount(system, student, own.GetDatabase()).CloseAsync(producer);
            Say("the same stream, undisturbed");
            var hash = UndisturbedRun.StateHash(system.State);
            var expected = await UndisturbedRun.HashAsync(records.Stream, student, Path.Combine(folder.Root, "undisturbed"), cancellation);
            watch.LookOnce();
            return new()
            {
                Seed = options.Seed,
                Only = options.Only,
                Kills = new(count, 0, 0),
                Records = records.Counts,
                Versions = new(watch.Whole.Count, watch.Partial.Count, 0),
                WeightsEqualUnkilledRun = hash == expected,
                Figures = new Dictionary<string, double> { ["kills_while_training"] = whileTraining, ["stream_entries"] = records.Entries },
                Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
                Broken =
                [
                    .. records.Broken, .. system.UnexpectedEnds, .. watch.Partial.Select(p => $"version {p.Key} was seen in part: {p.Value}"),
                    .. hash == expected ? (string[])[] : [$"weights {hash[..12]}… differ from those of the undisturbed run, {expected[..12]}…"],
                ],
            };
        }
        finally
        {
            await stopProducing.CancelAsync();
            foreach (var connection in (ConnectionMultiplexer[])[own, theirs])
                connection.Close(allowCommandsToComplete: false);
        }

        bool IsTraining() => system.Distiller.Text("phase") == "training";

        void Say(string message) => options.Say(string.Create(CultureInfo.InvariantCulture, $"{clock.Elapsed:hh\\:mm\\:ss} {message}"));
    }
}
