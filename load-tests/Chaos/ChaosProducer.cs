using System.Diagnostics;
using KdServing.Contracts;
using KdServing.Datasets;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>A teacher whose logits are known in advance: streams impressions of a dataset, and now and then an entry of poison.</summary>
/// <remarks>
/// It writes through <see cref="LogitStreamWriter"/>, as a ranking service would, and remembers only what Redis acknowledged. Which
/// records it writes follows from the seed; when it writes them does not. One caller of <see cref="RunAsync"/> and <see cref="PadAsync"/>.
/// </remarks>
/// <param name="poisonShare">Share of the entries that are poison.</param>
/// <param name="bounds">What the stream may hold; null: the writer's own.</param>
internal sealed class ChaosProducer(IDatabase redis, FeatureSchema schema, string model, IEnumerator<Impression> impressions, int seed, double poisonShare,
    LogitStreamWriterOptions? bounds = null)
{
    /// <summary>Producer of every sound record: one a run.</summary>
    public const string Id = "chaos";

    /// <summary>Stream field that tells poison entries apart; the Distiller does not read it.</summary>
    public const string PoisonField = "chaos";

    private const string Teacher = "teacher";
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(100);

    private readonly LogitStreamWriter writer = new(redis, model, Id, schema, bounds);
    private readonly RedisKey key = new StreamKeys(model).Logits;
    private readonly Random random = new(seed);
    private long poisoned;

    /// <summary>Sound records acknowledged: sequences 1 to this.</summary>
    public long Acknowledged => writer.Written;

    /// <summary>Poison entries acknowledged: numbers 1 to this.</summary>
    public long Poisoned => Interlocked.Read(ref poisoned);

    /// <summary>Times it waited because the stream was full.</summary>
    public long Waits => writer.Waits;

    /// <summary>Appends repeated after an error: a lost reply makes two entries of one record.</summary>
    public long Retries => writer.Retries;

    /// <summary>Writes at a rate until stopped; the record under way is finished.</summary>
    public async Task RunAsync(double recordsPerSecond, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        for (var n = 0L; !stop.IsCancellationRequested; n++)
        {
            var early = TimeSpan.FromSeconds(n / recordsPerSecond) - clock.Elapsed;
            if (early > TimeSpan.FromMilliseconds(2))
                await Task.Delay(early, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            // What a fault has held up is not caught up in a burst.
            else if (early < TimeSpan.FromSeconds(-1))
                (clock, n) = (Stopwatch.StartNew(), 0);
            await (random.NextDouble() >= poisonShare ? WriteSoundAsync() : WritePoisonAsync());
        }
    }

    /// <summary>Writes so many entries as fast as it can.</summary>
    /// <param name="poison">Which of them are poison, from 0.</param>
    public async Task WriteAsync(int entries, IReadOnlySet<int> poison)
    {
        for (var n = 0; n < entries; n++)
            await (poison.Contains(n) ? WritePoisonAsync() : WriteSoundAsync());
    }

    /// <summary>Writes one sound record.</summary>
    public Task WriteSoundAsync() => writer.WriteAsync(Next());

    /// <summary>Writes sound records until the stream has taken a whole number of batches: a batch is cut by count alone, so that no record waits.</summary>
    /// <param name="added">Entries the stream has taken so far.</param>
    public async Task PadAsync(Func<Task<long>> added, int batchRecords)
    {
        for (var missing = await added() % batchRecords; missing != 0; missing = await added() % batchRecords)
        {
            for (; missing < batchRecords; missing++)
                await WriteSoundAsync();
        }
    }

    private async Task WritePoisonAsync()
    {
        var sound = Next();
        (sound.ProducerId, sound.Sequence, sound.SchemaFingerprint) = ("poison", (ulong)poisoned + 1, schema.Fingerprint);
        var (format, record) = PoisonRecords.Make(sound, (int)(poisoned % PoisonRecords.Kinds), random);
        while (true)
        {
            try
            {
                await redis.ExecuteAsync("XADD", key, "*", LogitEntry.FormatField, format, LogitEntry.RecordField, record, PoisonField, poisoned + 1);
                Interlocked.Increment(ref poisoned);
                return;
            }
            catch (Exception e) when (LogitStreamWriter.IsTransient(e))
            {
                await Task.Delay(RetryDelay);
            }
        }
    }

    private TeacherRecord Next()
    {
        if (!impressions.MoveNext())
            throw new DatasetException("the replay has ended before the run has; choose a longer dataset, or fewer minutes");
        var impression = impressions.Current;
        var record = impression.ToTeacherRecord(Id, 1, schema.Fingerprint);
        foreach (var target in schema.Targets)
        {
            var output = new TeacherOutput { Teacher = Teacher, TeacherVersion = 1, Target = target };
            output.Logits.AddRange(impression.TrueLogits ?? FromLabels(impression, target));
            record.Outputs.Add(output);
        }
        return record;
    }

    // No teacher has scored real data here: a logit that leans to the label, the same in every run.
    private static float[] FromLabels(Impression impression, string target)
    {
        var states = impression.LabelStates(target);
        var logits = new float[states.Length];
        for (var i = 0; i < logits.Length; i++)
            logits[i] = (states[i] == (byte)LabelState.Positive ? 1.5f : -1.5f) + i % 7 * 0.1f;
        return logits;
    }
}
