using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;
using StackExchange.Redis;

namespace KdServing.LoadTests.Kills;

/// <summary>A Distiller that dies at seeded moments, between any two of its steps, against one that does not.</summary>
/// <remarks>
/// It dies in this process: an exception at a step, after which no step of that life happens any more, on whatever thread; memory is
/// thrown away, folders and Redis are as they were. That allows dozens of deaths a second, at moments a signal from outside hardly
/// hits. <c>kd chaos --only distiller-kills</c> does the same with processes and SIGKILL.
/// </remarks>
internal sealed class KillRun(IConnectionMultiplexer connection, string endpoint, string folder, int kills, int seed, int shards, Action<string> say)
{
    private const int StepsMax = 90;
    private const int BatchRecords = 16;
    // More than a life of so many steps can learn.
    private const int AheadEntries = StepsMax * BatchRecords;

    private readonly string model = $"kills{seed}";
    private readonly Dictionary<string, int> byStep = [];
    private readonly Dictionary<long, string> seen = [];
    private long changed;

    public async Task<KillReport> RunAsync(CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var (killed, undisturbed) = (connection.GetDatabase(0), connection.GetDatabase(1));
        var stream = new KillStream(killed, undisturbed, model, shards, seed);
        var random = new Random(seed);
        for (var done = 0; done < kills;)
        {
            cancellation.ThrowIfCancellationRequested();
            await stream.FillAsync(Learned(folder) + AheadEntries);
            if (!await LiveAsync(killed, folder, new Death(1 + random.Next(StepsMax))))
                continue;
            done++;
            NoteVersions();
            if (done % 100 == 0)
                say($"{done} kills, {stream.Records:N0} records, {seen.Count} versions, {done / clock.Elapsed.TotalSeconds:0.0} kills a second");
        }
        // Whole batches: nothing waits for silence.
        await stream.FillAsync((stream.Entries + BatchRecords - 1) / BatchRecords * BatchRecords);
        say("no more kills; to the end of the stream, and an undisturbed run over the same one");
        await LiveAsync(killed, folder, null);
        NoteVersions();
        var other = Path.Combine(folder, "undisturbed");
        await LiveAsync(undisturbed, other, null);
        return await ReportAsync(stream, killed, other, clock);
    }

    // True when it died; false when it came to its end.
    private async Task<bool> LiveAsync(IDatabase redis, string home, Death? death)
    {
        // As if the process before had been another one, which is gone.
        await redis.KeyDeleteAsync(new StreamKeys(model).Owner);
        var config = DistillerConfig.Parse($$"""
            { "model": "{{model}}", "shards": {{shards}}, "batch_records": {{BatchRecords}}, "idle_seconds": 1e9,
              "refresh": { "seconds": null, "records": 60, "base_every": 5, "keep_bases": 1000000 }, "checkpoint": { "every_seconds": 0.03, "full_every": 4 },
              "teacher_calibration": { "window_records": 400, "glide_records": 5000 },
              "kd": [ { "loss_type": "BINARY_CROSS_ENTROPY_LOSS", "pred_name": "logits", "soft_label_name": "{{KillRecords.Teacher}}/click" } ] }
            """);
        var student = StudentConfig.Parse("""{ "family": "mlp", "first_layer": 16, "hidden": [8] }""");
        await using var loop = new DistillationLoop(KillRecords.Schema, student, config,
            new(endpoint, Path.Combine(home, "repository"), Path.Combine(home, "state"), Path.Combine(home, "status.json"), null, death is null ? 0.5 : 5)
            {
                AtStep = death is null ? null : death.At,
            }, redis);
        try
        {
            await Task.Run(() => loop.RunAsync(CancellationToken.None));
            return false;
        }
        catch (DeathException)
        {
            byStep[death!.Step!] = byStep.GetValueOrDefault(death.Step!) + 1;
            return true;
        }
    }

    private void NoteVersions()
    {
        var repository = new ModelRepository(Path.Combine(folder, "repository"));
        foreach (var version in repository.Versions(model))
        {
            var hash = Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(Path.Combine(repository.Folder(model, version), VersionManifest.FileName))));
            changed += seen.TryAdd(version, hash) || seen[version] == hash ? 0 : 1;
        }
    }

    private async Task<KillReport> ReportAsync(KillStream stream, IDatabase redis, string other, Stopwatch clock)
    {
        var (ours, theirs) = (Status(folder), Status(other));
        var applied = ours.GetProperty("consumed").GetInt64();
        var (weights, expected) = (ours.GetProperty("weights_sha256").GetString()!, theirs.GetProperty("weights_sha256").GetString()!);
        return new()
        {
            Seed = seed,
            Kills = kills,
            ByStep = new SortedDictionary<string, int>(byStep, StringComparer.Ordinal),
            Records = new(stream.Records, applied, Math.Max(0, stream.Records - applied) + ours.GetProperty("missing").GetInt64(), Math.Max(0, applied - stream.Records),
                stream.Poisoned, (long)await redis.ExecuteAsync("XLEN", new StreamKeys(model).DeadLetters), stream.Repeats, ours.GetProperty("repeats").GetInt64()),
            Versions = new(seen.Count, changed, seen.Count == 0 ? 0 : seen.Keys.Max() - seen.Count),
            WeightsEqualUnkilledRun = weights == expected,
            CalibrationEqualUnkilledRun = Calibration(folder) == Calibration(other),
            WeightsSha256 = weights,
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
        };
    }

    private static string Calibration(string home) => Newest(home)!.Files[Checkpointing.CalibrationFile].Sha256;

    private static JsonElement Status(string home)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(home, "status.json")));
        return json.RootElement.Clone();
    }

    // Entries gone past as the newest checkpoint knows them; more may be journaled, hence the reserve.
    private static long Learned(string home) => Newest(home)?.Counters.Examined ?? 0;

    private static CheckpointManifest? Newest(string home) => new CheckpointStore(Path.Combine(home, "state", "checkpoints"), keep: 1).Newest;

    /// <summary>Ends a life before its n-th step.</summary>
    private sealed class Death(int steps)
    {
        private readonly Lock gate = new();
        private int taken;

        public string? Step { get; private set; }

        public void At(string step)
        {
            lock (gate)
            {
                if (++taken < steps)
                    return;
                Step ??= step;
            }
            throw new DeathException();
        }
    }

    private sealed class DeathException() : Exception("killed by the test");
}
