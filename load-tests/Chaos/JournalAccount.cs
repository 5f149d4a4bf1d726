using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Training;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>Which batches are in the final weights: the journal as Redis wrote it to its file, up to the entry that the checkpoint names.</summary>
internal static class JournalAccount
{
    private const string EntryField = "j";

    /// <summary>The last entry of a stream that belongs to a batch, as Redis has the journal now; null: none.</summary>
    public static async Task<StreamId?> LastAsync(IDatabase redis, string model, string streamKey)
    {
        // A draft, its outcome and what is live may stand after a batch.
        foreach (var entry in (RedisResult[])(await redis.ExecuteAsync("XREVRANGE", new StreamKeys(model).Journal, "+", "-", "COUNT", 10))!)
        {
            var json = (byte[])((RedisResult[])((RedisResult[])entry!)[1]!)[1]!;
            if (JsonSerializer.Deserialize<JournalEntry>(json, ContractJson.Options)!.Batch is { } batch && batch.Sources.TryGetValue(streamKey, out var range))
                return StreamId.Parse(range.Last);
        }
        return null;
    }

    /// <summary>Batches of one stream whose effect is in a checkpoint, in the order in which they were decided.</summary>
    /// <param name="entries">Of the whole file.</param>
    public static IReadOnlyList<(StreamId After, StreamId To)> Batches(IEnumerable<AofEntry> entries, string model, string streamKey, CheckpointManifest checkpoint) =>
        [.. Ranges(entries, model, streamKey, checkpoint).Select(r => (StreamId.Parse(r.After), StreamId.Parse(r.Last)))];

    /// <summary>The same, with the number of entries that the Distiller found in each.</summary>
    public static IReadOnlyList<StreamRange> Ranges(IEnumerable<AofEntry> entries, string model, string streamKey, CheckpointManifest checkpoint)
    {
        var journal = (string)new StreamKeys(model).Journal!;
        var ranges = new List<StreamRange>();
        foreach (var entry in entries.Where(e => e.Key == journal && e.Id.Ms <= checkpoint.JournalSequence))
        {
            var decision = JsonSerializer.Deserialize<JournalEntry>(entry[EntryField], ContractJson.Options)!;
            // Another history's batches are in no weights.
            if (decision.Life == checkpoint.Life && decision.Batch is { } batch && batch.Sources.TryGetValue(streamKey, out var range))
                ranges.Add(range);
        }
        return ranges;
    }
}
