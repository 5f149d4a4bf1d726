using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Benchmarks.Training;

/// <summary>
/// What both trainers of the comparison learn: a sample's schema, student, losses and learning rates, its large vocabularies set
/// to a chosen size, over random impressions.
/// </summary>
/// <remarks>Ids follow Zipf's law, as users and articles do. Everything is a function of the vocabulary and the seed.</remarks>
internal sealed class TrainingWorkload
{
    /// <summary>Candidates an impression: one click and 50 negatives, as in <c>samples/globo</c>.</summary>
    public const int Candidates = 51;

    private const int LargeVocabulary = 65_536;
    private const double ZipfExponent = 1.05;
    private const float LogQ = -4.6f;

    private readonly Random random;
    private readonly int vocabulary;

    /// <param name="sample">Folder of <c>schema.json</c>, <c>student.json</c> and <c>distiller.json</c>.</param>
    /// <param name="vocabulary">Buckets of every table that has 65,536 or more.</param>
    public TrainingWorkload(string sample, int vocabulary, int seed)
    {
        this.vocabulary = vocabulary;
        random = new(seed);
        var schema = JsonNode.Parse(File.ReadAllText(Path.Combine(sample, "schema.json")))!;
        foreach (var feature in schema["features"]!.AsArray())
        {
            if (feature!["buckets"]?.GetValue<int>() >= LargeVocabulary)
                feature["buckets"] = vocabulary;
        }
        Schema = FeatureSchema.Parse(schema.ToJsonString());
        Student = StudentConfig.Parse(File.ReadAllText(Path.Combine(sample, "student.json")));
        Config = DistillerConfig.Parse(File.ReadAllText(Path.Combine(sample, "distiller.json")));
    }

    public FeatureSchema Schema { get; }

    public StudentConfig Student { get; }

    public DistillerConfig Config { get; }

    /// <summary>The sample's learner.</summary>
    public Learner Learner(AdagradState state) => new(Schema, Student,
        Config.Optimizer with { Embedding = Config.Optimizer.Embedding with { State = state } }, Config.Seed, Method.Create(Schema, Student, Config));

    /// <summary>Batches of <see cref="DistillerConfig.BatchRecords"/> impressions, decoded.</summary>
    public List<FeatureBatch> Batches(int count)
    {
        var batches = new List<FeatureBatch>();
        while (batches.Count < count)
        {
            batches.Add(NewBatch());
            for (var u = 0; u < Config.BatchRecords; u++)
                batches[^1].Add(Record());
        }
        return batches;
    }

    /// <summary>An empty batch that decodes what the sample's losses read.</summary>
    public FeatureBatch NewBatch() => new(Schema, new Objective(Schema, Config.HardLabel, Config.Kd).Sources);

    /// <summary>The next record: its first candidate was shown and clicked, the others were sampled.</summary>
    public TeacherRecord Record()
    {
        var record = new TeacherRecord
        {
            CandidateCount = Candidates,
            Outputs = { new TeacherOutput { Teacher = "dcn", Target = Schema.Targets[0], Logits = { Enumerable.Range(0, Candidates).Select(_ => Normal() - 5) } } },
            Origin = ByteString.CopyFrom([(byte)CandidateOrigin.Exposed, .. Enumerable.Repeat((byte)CandidateOrigin.Sampled, Candidates - 1)]),
            SamplingLogQ = { Enumerable.Range(0, Candidates).Select(i => i == 0 ? 0 : LogQ) },
            Labels =
            {
                new TargetLabels
                {
                    Target = Schema.Targets[0],
                    States = ByteString.CopyFrom([(byte)LabelState.Positive, .. Enumerable.Repeat((byte)LabelState.Negative, Candidates - 1)]),
                },
            },
        };
        record.User.AddRange(Schema.User.Features.Select(f => Values(f, 1)));
        record.Item.AddRange(Schema.Item.Features.Concat(Schema.Live.Features).Select(f => Values(f, Candidates)));
        return record;
    }

    private Column Values(Feature feature, int rows) => feature.Kind switch
    {
        FeatureKind.Numeric => new() { Name = feature.Name, RawFloat32 = Bytes(rows, Normal) },
        FeatureKind.Sequence => Sequence(feature, random.Next(feature.MaxLength + 1)),
        FeatureKind.Vocabulary => new() { Name = feature.Name, RawInt64 = Bytes(rows, () => random.NextInt64(feature.Buckets)) },
        _ => new() { Name = feature.Name, RawInt64 = Bytes(rows, Zipf) },
    };

    private Column Sequence(Feature feature, int length) =>
        new() { Name = feature.Name, Sequences = new() { Value = { Enumerable.Range(0, length).Select(_ => Zipf()) }, Lengths = { length } } };

    // The rank by inversion of the continuous law.
    private long Zipf() =>
        (long)Math.Pow(1 - random.NextDouble() * (1 - Math.Pow(vocabulary, 1 - ZipfExponent)), 1 / (1 - ZipfExponent));

    private float Normal() => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));

    private static ByteString Bytes<T>(int rows, Func<T> value) where T : unmanaged =>
        ByteString.CopyFrom(MemoryMarshal.AsBytes<T>(Enumerable.Range(0, rows).Select(_ => value()).ToArray()));
}
