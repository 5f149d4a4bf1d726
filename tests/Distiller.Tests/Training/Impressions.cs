using System.Runtime.InteropServices;
using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Distiller.Tests.Training;

/// <summary>Impressions with a known truth: the logit of a candidate is a function of the parities of user and item.</summary>
internal static class Impressions
{
    public const int Candidates = 10;

    public static readonly FeatureSchema Schema = FeatureSchema.Parse("""
        { "name": "tiny", "targets": ["click"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 4096, "dim": 8 },
          { "name": "history", "side": "user", "kind": "sequence", "table": "items", "buckets": 8192, "dim": 8, "max_length": 3 },
          { "name": "item_id", "side": "item", "kind": "hash", "table": "items", "buckets": 8192, "dim": 8 },
          { "name": "price", "side": "item", "kind": "numeric" },
          { "name": "clicks", "side": "item", "kind": "numeric", "volatility": "live" } ] }
        """);

    /// <summary>The r-th impression: user, candidates, labels and teacher's logits are functions of r.</summary>
    public static TeacherRecord Record(int r, ulong sequence = 0, string producer = "p")
    {
        var random = new Random(r);
        var user = random.Next(20);
        var items = Enumerable.Range(0, Candidates).Select(_ => (long)random.Next(40)).ToArray();
        var numbers = items.Select(_ => random.NextSingle()).ToArray();
        var logits = items.Select(item => Truth(user, item)).ToArray();
        var states = logits.Select(t => (byte)(random.NextDouble() < 1 / (1 + Math.Exp(-t)) ? LabelState.Positive : LabelState.Negative)).ToArray();
        return new()
        {
            RequestId = $"request-{r}",
            EventTimeMs = 1_700_000_000_000 + r,
            ProducerId = producer,
            Sequence = sequence == 0 ? (ulong)r + 1 : sequence,
            SchemaFingerprint = Schema.Fingerprint,
            CandidateCount = Candidates,
            User =
            {
                new Column { Name = "user_id", Ints = new() { Value = { user } } },
                new Column { Name = "history", Sequences = new() { Value = { items.Take(r % 5) }, Lengths = { r % 5 } } },
            },
            Item =
            {
                new Column { Name = "item_id", RawInt64 = Bytes(items) },
                new Column { Name = "price", RawFloat32 = Bytes(numbers) },
                new Column { Name = "clicks", RawFloat32 = Bytes(numbers) },
            },
            Outputs = { new TeacherOutput { Teacher = "ranker", TeacherVersion = r / 100 + 1, Target = "click", Logits = { logits } } },
            Origin = ByteString.CopyFrom([.. Enumerable.Repeat((byte)CandidateOrigin.Exposed, Candidates)]),
            SamplingLogQ = { new float[Candidates] },
            Labels = { new TargetLabels { Target = "click", States = ByteString.CopyFrom(states) } },
        };
    }

    public static float Truth(int user, long item) => (user % 2 == item % 2 ? 1.5f : -1.5f) + (item % 3 == 0 ? 1 : 0) - 1;

    private static ByteString Bytes<T>(T[] values) where T : unmanaged => ByteString.CopyFrom(MemoryMarshal.AsBytes<T>(values));
}
