using System.Runtime.InteropServices;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;
using KdServing.Distiller.Tests.Training;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Methods;

/// <summary>The impressions of <see cref="Impressions"/> with all that methods read: a privileged feature, two teachers, hidden vectors, sampled candidates.</summary>
internal static class TaughtImpressions
{
    public const int HiddenWidth = 3;

    public const string Mlp = """{ "family": "mlp", "first_layer": 16, "hidden": [8] }""";

    public const string TwoTower = """{ "family": "two_tower", "user_tower": [8], "item_tower": [8], "live_net": [4] }""";

    public static readonly FeatureSchema Schema = FeatureSchema.Parse(Impressions.Schema.Json.Replace("""
        "volatility": "live" }
        """.Trim(), """
        "volatility": "live" },
          { "name": "hint", "side": "privileged", "kind": "numeric" },
          { "name": "parity", "side": "privileged", "kind": "vocabulary", "vocabulary": [0, 1], "dim": 2 }
        """.Trim(), StringComparison.Ordinal));

    /// <summary>The r-th impression; the last two of ten candidates are sampled.</summary>
    public static TeacherRecord Record(int r)
    {
        var record = Impressions.Record(r);
        record.SchemaFingerprint = Schema.Fingerprint;
        float[] truth = [.. record.Outputs[0].Logits];
        record.Privileged.Add(new Column { Name = "hint", RawFloat32 = Bytes(truth) });
        record.Privileged.Add(new Column { Name = "parity", RawInt64 = Bytes(truth.Select(t => t > 0 ? 1L : 0L).ToArray()) });
        var noise = new Random(r);
        record.Outputs.Add(new TeacherOutput { Teacher = "second", TeacherVersion = 1, Target = "click", Logits = { truth.Select(t => t + noise.NextSingle() - 0.5f) } });
        record.Outputs[0].HiddenWidth = HiddenWidth;
        record.Outputs[0].Hidden.AddRange(truth.SelectMany(t => (float[])[t, t * t, noise.NextSingle()]));
        record.Origin = ByteString.CopyFrom([.. Enumerable.Range(0, Impressions.Candidates).Select(i => (byte)(i < 8 ? CandidateOrigin.Exposed : CandidateOrigin.Sampled))]);
        for (var i = 8; i < Impressions.Candidates; i++)
            record.SamplingLogQ[i] = -1;
        return record;
    }

    /// <summary>A configuration with a preset's defaults, and what those can not know.</summary>
    /// <param name="more">Further fields of the preset's block.</param>
    public static DistillerConfig Config(string preset, string more = "") => DistillerConfig.Parse($$"""
        { "model": "tiny", "preset": "{{preset}}", "{{preset}}": { {{string.Join(", ", new[] { Necessary(preset), more }.Where(t => t.Length > 0))}} },
          "hard_label": { "weight": 1, "origins": ["exposed", "sampled"] },
          "optimizer": { "dense": { "learning_rate": 0.01 }, "embedding": { "learning_rate": 0.1 } } }
        """);

    public static Learner Learner(string preset, string more = "", string student = Mlp) => Learner(Config(preset, more), student);

    public static Learner Learner(DistillerConfig config, string student = Mlp)
    {
        var shape = StudentConfig.Parse(student);
        return new(Schema, shape, config.Optimizer, 7, Method.Create(Schema, shape, config));
    }

    /// <summary>The impressions first … first + count, as the learner's method reads them.</summary>
    public static FeatureBatch Batch(Learner learner, int first, int count, Action<TeacherRecord>? change = null)
    {
        var batch = learner.Method.NewBatch();
        for (var r = first; r < first + count; r++)
        {
            var record = Record(r);
            change?.Invoke(record);
            batch.Add(record);
        }
        return batch;
    }

    public static void Learn(Learner learner, int firstBatch, int batches)
    {
        var logits = new float[16 * Impressions.Candidates];
        for (var b = firstBatch; b < firstBatch + batches; b++)
            learner.ScoreAndLearn(Batch(learner, b * 16, 16), logits);
    }

    // What a preset's defaults can not know, and stages short enough to be gone through.
    private static string Necessary(string preset) => preset switch
    {
        "ensemble" => """ "teachers": ["ranker", "second"] """,
        "pfd" or "pfd_star" => """ "warm_up_steps": 5, "ramp_steps": 5 """,
        "fitnets" => """ "teacher_steps": 10, "hint_steps": 10, "lambda_steps": 10 """,
        "ranking_distillation" => """ "hybrid_after_steps": 5 """,
        _ => "",
    };

    private static ByteString Bytes<T>(T[] values) where T : unmanaged => ByteString.CopyFrom(MemoryMarshal.AsBytes<T>(values));
}
