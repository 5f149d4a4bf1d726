using System.Runtime.InteropServices;
using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.LoadTests.Kills;

/// <summary>The records of a kill run: the r-th is a function of seed and r alone.</summary>
internal static class KillRecords
{
    public const string Teacher = "ranker";
    private const int Candidates = 8;
    private const int RecordsPerVersion = 1000;

    public static readonly FeatureSchema Schema = FeatureSchema.Parse("""
        { "name": "kills", "targets": ["click"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 1024, "dim": 8 },
          { "name": "item_id", "side": "item", "kind": "hash", "buckets": 2048, "dim": 8 },
          { "name": "price", "side": "item", "kind": "numeric" } ] }
        """);

    public static TeacherRecord Make(int seed, int r, string producer, ulong sequence)
    {
        var random = new Random(HashCode.Combine(seed, r) & int.MaxValue);
        var user = random.Next(200);
        var items = Enumerable.Range(0, Candidates).Select(_ => (long)random.Next(400)).ToArray();
        var prices = items.Select(_ => random.NextSingle()).ToArray();
        var logits = items.Select(i => (user % 2 == i % 2 ? 1.5f : -1.5f) + random.NextSingle()).ToArray();
        var states = logits.Select(t => (byte)(random.NextDouble() < 1 / (1 + Math.Exp(-t)) ? LabelState.Positive : LabelState.Negative)).ToArray();
        // Every second version of the teacher speaks on another scale: what is remembered of versions must be restored too.
        var version = r / RecordsPerVersion + 1;
        if (version % 2 == 0)
            logits = [.. logits.Select(t => 2 * t + 1)];
        return new()
        {
            RequestId = $"r{r}",
            EventTimeMs = 1_700_000_000_000 + 10L * r,
            ProducerId = producer,
            Sequence = sequence,
            SchemaFingerprint = Schema.Fingerprint,
            CandidateCount = Candidates,
            User = { new Column { Name = "user_id", Ints = new() { Value = { user } } } },
            Item =
            {
                new Column { Name = "item_id", RawInt64 = Bytes(items) },
                new Column { Name = "price", RawFloat32 = Bytes(prices) },
            },
            Outputs = { new TeacherOutput { Teacher = Teacher, TeacherVersion = version, Target = "click", Logits = { logits } } },
            Origin = ByteString.CopyFrom([.. Enumerable.Repeat((byte)CandidateOrigin.Exposed, Candidates)]),
            SamplingLogQ = { new float[Candidates] },
            Labels = { new TargetLabels { Target = "click", States = ByteString.CopyFrom(states) } },
        };
    }

    private static ByteString Bytes<T>(T[] values) where T : unmanaged => ByteString.CopyFrom(MemoryMarshal.AsBytes<T>(values));
}
