using System.Text.Json;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Teachers;

namespace KdServing.Distiller.Offline;

/// <summary>Impressions in event order with the logits that a teacher gave before it learned them: a stream, kept.</summary>
/// <remarks>
/// The teacher of teacher.json learns the preparation part first and goes on learning in the replay, as <c>kd teach</c> does; its
/// privileged columns stay with the records, for presets whose own teacher reads them.
/// </remarks>
public sealed class ReplayedData
{
    private const string Set = "replay";

    private ReplayedData(string key, string name, IReadOnlyList<TeacherRecord> records, float[] teacher) =>
        (Key, Name, Records, Teacher) = (key, name, records, teacher);

    /// <summary>Changes when the data or the teacher changes.</summary>
    public string Key { get; }

    public string Name { get; }

    public IReadOnlyList<TeacherRecord> Records { get; }

    /// <summary>Logits of the first target, [candidates of all records].</summary>
    public float[] Teacher { get; }

    /// <param name="impressions">Of the replay part, from its beginning.</param>
    /// <exception cref="ContractException">There is no teacher.json.</exception>
    /// <exception cref="OperationCanceledException">Asked to stop.</exception>
    internal static ReplayedData Make(OfflineInputs inputs, int impressions, Action<double, string> progress, CancellationToken cancellation)
    {
        var config = inputs.Teacher ?? throw new ContractException("--teacher", "is needed: a replay has no teacher's logits of its own");
        var (schema, reader) = (inputs.Schema, inputs.Reader);
        List<TeacherRecord> preparation = [], replay = [];
        foreach (var impression in reader.Read(DatasetPart.Preparation, DatasetPart.Replay))
        {
            cancellation.ThrowIfCancellationRequested();
            var into = impression.Part == DatasetPart.Preparation ? preparation : replay;
            into.Add(impression.ToTeacherRecord("offline", (ulong)(preparation.Count + replay.Count + 1), schema.Fingerprint));
            // Only the newest part of the history is learned; the rest need not stay in memory.
            if (preparation.Count >= 2 * config.PreparationImpressions && config.PreparationImpressions > 0)
                preparation.RemoveRange(0, preparation.Count - config.PreparationImpressions);
            if (replay.Count == impressions)
                break;
            if ((preparation.Count + replay.Count) % 1024 == 0)
                progress(0, $"reading: {preparation.Count + replay.Count:N0} impressions");
        }
        if (config.PreparationImpressions > 0 && preparation.Count > config.PreparationImpressions)
            preparation.RemoveRange(0, preparation.Count - config.PreparationImpressions);
        if (replay.Count == 0)
            throw new ContractException("--data", $"'{reader.Name}' has nothing to replay");

        var cache = new ScoreCache(inputs.CacheFolder, reader.Name, [schema.Json, JsonSerializer.Serialize(config, ContractJson.Options), $"{inputs.Config.Seed} replay"],
            preparation.Concat(replay));
        if (cache.TryLoad(schema.Targets.Count) is not { } logits)
        {
            logits = new() { [Set] = Play(preparation, replay, schema, config, inputs.Config.Seed, progress, cancellation) };
            cache.Save(logits);
        }
        TaughtData.Add(replay, config.Name, schema, logits[Set]);
        return new(cache.Key, reader.Name, replay, logits[Set][0]);
    }

    private static float[][] Play(List<TeacherRecord> preparation, List<TeacherRecord> replay, FeatureSchema schema, TeacherConfig config, ulong seed,
        Action<double, string> progress, CancellationToken cancellation)
    {
        using var teacher = new Teacher(schema, config, seed);
        var batch = teacher.NewBatch();
        var logits = schema.Targets.Select(_ => new List<float>()).ToArray();
        var all = preparation.Count + replay.Count;
        for (var start = 0; start < all;)
        {
            cancellation.ThrowIfCancellationRequested();
            // A batch never reaches over the border: the replay is scored by a teacher that has learned all that was before.
            var end = Math.Min(start + config.BatchImpressions, start < preparation.Count ? preparation.Count : all);
            batch.Clear();
            for (var i = start; i < end; i++)
                batch.Add(i < preparation.Count ? preparation[i] : replay[i - preparation.Count]);
            using var scored = teacher.Score(batch);
            for (var i = 0; start >= preparation.Count && i < end - start; i++)
            {
                for (var t = 0; t < logits.Length; t++)
                    logits[t].AddRange(scored.Logits(i, t));
            }
            scored.Learn();
            start = end;
            progress((double)start / all, $"{start:N0} of {all:N0} impressions");
        }
        return [.. logits.Select(l => l.ToArray())];
    }
}
