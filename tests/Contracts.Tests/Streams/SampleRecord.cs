using Google.Protobuf;

namespace KdServing.Contracts.Tests.Streams;

/// <summary>A small schema and valid records of it.</summary>
internal static class SampleRecord
{
    public static readonly FeatureSchema Schema = FeatureSchema.Parse("""
        { "name": "news", "targets": ["click", "read"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 100, "dim": 4 },
          { "name": "item_id", "side": "item", "kind": "hash", "buckets": 100, "dim": 4 },
          { "name": "popularity", "side": "item", "kind": "numeric", "volatility": "live" },
          { "name": "ctr", "side": "privileged", "kind": "numeric" } ] }
        """);

    /// <summary>Three candidates: shown, sampled, probe.</summary>
    public static TeacherRecord Make(int number = 1) => new()
    {
        RequestId = $"r{number}",
        EventTimeMs = 1_510_000_000_000 + number,
        ProducerId = "p",
        Sequence = (ulong)number,
        SchemaFingerprint = Schema.Fingerprint,
        CandidateCount = 3,
        User = { new Column { Name = "user_id", Ints = new() { Value = { number } } } },
        Item =
        {
            new Column { Name = "item_id", Ints = new() { Value = { 1, 2, 3 } } },
            new Column { Name = "popularity", Floats = new() { Value = { 1, 2, 3 } } },
        },
        Privileged = { new Column { Name = "ctr", Floats = new() { Value = { 0.1f, 0.2f, 0.3f } } } },
        Outputs = { new TeacherOutput { Teacher = "cascade", TeacherVersion = 1, Target = "click", Logits = { 1, 0, -1 } } },
        Origin = ByteString.CopyFrom(1, 2, 3),
        SamplingLogQ = { 0, -1.5f, -0.1f },
        Labels = { new TargetLabels { Target = "click", States = ByteString.CopyFrom(1, 2, 0) } },
    };
}
