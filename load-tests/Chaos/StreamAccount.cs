using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>Closes the books on the records of a run, when the Distiller has stopped.</summary>
internal sealed class StreamAccount(ChaosSystem system, ChaosStudent student, IDatabase redis)
{
    private readonly StreamKeys keys = new(student.Model);

    /// <param name="Stream">The logit stream as Redis took it, for another Distiller to learn.</param>
    /// <param name="Entries">Records, repeats and poison in it.</param>
    /// <param name="Repeats">Entries that repeat a record because a reply was lost.</param>
    /// <param name="Broken">What does not add up, in words.</param>
    public sealed record Closed(ChaosReport.RecordCounts Counts, IEnumerable<AofEntry> Stream, int Entries, int Repeats, IReadOnlyList<string> Broken);

    public async Task<Closed> CloseAsync(ChaosProducer producer)
    {
        var key = (string)keys.Logits!;
        var stream = AppendOnlyFile.Entries(system.RedisFolder).Where(e => e.Key == key);
        var account = new RecordAccount(stream);
        var deadLetters = await DeadLettersAsync();
        var checkpoint = UndisturbedRun.Newest(system.State).Manifest;
        var (applied, twice) = account.Applied(JournalAccount.Batches(AppendOnlyFile.Entries(system.RedisFolder), student.Model, key, checkpoint));
        var dead = account.DeadLettered(deadLetters);
        var produced = producer.Acknowledged + producer.Poisoned;
        // A repeat that the Distiller did not recognise shows in its own count only; the hash of the weights tells as well.
        twice += Math.Max(0, system.Distiller.Count("consumed") - account.Records);
        var counts = new ChaosReport.RecordCounts(produced, applied, Math.Max(0, producer.Acknowledged - applied) + Math.Max(0, producer.Poisoned - dead), twice, dead);

        var broken = new List<string>();
        if (account.MissingInRedis(producer.Acknowledged) is > 0 and var missing)
            broken.Add($"Redis lost {missing} records that it had acknowledged");
        if (counts.Lost > 0)
            broken.Add($"{counts.Lost} of {produced} records lost");
        if (counts.AppliedTwice > 0)
            broken.Add($"{counts.AppliedTwice} records applied twice");
        if (account.SoundDeadLettered(deadLetters) is > 0 and var sound)
            broken.Add($"{sound} sound records were dead-lettered");
        return new(counts, stream, account.Entries, account.Repeats, broken);
    }

    private async Task<List<StreamId>> DeadLettersAsync()
    {
        var ids = new List<StreamId>();
        foreach (var entry in (RedisResult[])(await redis.ExecuteAsync("XRANGE", keys.DeadLetters, "-", "+"))!)
        {
            var fields = (RedisResult[])((RedisResult[])entry!)[1]!;
            for (var i = 0; i + 1 < fields.Length; i += 2)
            {
                if ((string?)fields[i] == "id")
                    ids.Add(StreamId.Parse((string)fields[i + 1]!));
            }
        }
        return ids;
    }
}
