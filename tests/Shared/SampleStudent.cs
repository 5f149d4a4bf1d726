using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Students;

namespace KdServing.Tests;

/// <summary>A student with random weights over a schema of every feature kind: real versions without any training.</summary>
/// <remarks>
/// <code>
/// using var sample = new SampleStudent("mlp");
/// var manifest = sample.Publish(repository);      // version 1, a base
/// sample.Learn(seed: 2);
/// manifest = sample.Publish(repository);          // version 2, a delta with other weights and a few other rows
/// var expected = sample.Score(sample.Request(candidates: 500, seed: 3));
/// </code>
/// </remarks>
public sealed class SampleStudent : IDisposable
{
    public const string Model = "sample";

    /// <summary>Every side, kind and volatility, and a table that features of two sides share.</summary>
    public const string SchemaJson = """
        { "name": "sample", "targets": ["click", "buy"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 5000, "dim": 16 },
          { "name": "last_clicks", "side": "user", "kind": "sequence", "table": "article", "buckets": 3000, "dim": 16, "max_length": 5 },
          { "name": "hour", "side": "context", "kind": "vocabulary", "vocabulary": [0, 6, 12, 18], "dim": 4 },
          { "name": "article", "side": "item", "kind": "hash", "buckets": 3000, "dim": 16 },
          { "name": "words", "side": "item", "kind": "numeric", "transform": "log1p", "mean": 5, "std": 2 },
          { "name": "age_hours", "side": "item", "kind": "numeric", "volatility": "live", "transform": "log1p", "mean": 2, "std": 1.5 },
          { "name": "popularity", "side": "item", "kind": "numeric", "volatility": "live", "mean": 3, "std": 2 },
          { "name": "seen_before", "side": "cross", "kind": "vocabulary", "vocabulary": [1], "dim": 2 },
          { "name": "co_clicks", "side": "privileged", "kind": "numeric" } ] }
        """;

    private readonly string family;
    private VersionWriter? writer;

    /// <param name="family"><c>mlp</c> or <c>two_tower</c>.</param>
    /// <param name="schema">By default <see cref="SchemaJson"/>.</param>
    public SampleStudent(string family, int seed = 1, string schema = SchemaJson)
    {
        this.family = family;
        Schema = FeatureSchema.Parse(schema);
        Tables = [.. Schema.Tables.Select((t, i) => new EmbeddingTable(t, (ulong)(seed * 1000 + i), 0.5f))];
        Dense = RandomStudent.Make(family, Schema, seed);
    }

    public FeatureSchema Schema { get; }

    public IReadOnlyList<EmbeddingTable> Tables { get; }

    public DenseStudent Dense { get; private set; }

    public long RecordsLearned { get; private set; } = 1000;

    /// <summary>Draws other weights and changes some rows of every table.</summary>
    public void Learn(int seed, int rowsPerTable = 20)
    {
        var random = new Random(seed);
        Dense = RandomStudent.Make(family, Schema, seed);
        foreach (var table in Tables)
        {
            for (var i = 0; i < Math.Min(rowsPerTable, table.Rows); i++)
                table.Writable(random.Next(table.Rows))[0] += (float)random.NextDouble() - 0.5f;
        }
        RecordsLearned += 100;
    }

    /// <summary>A valid request with every feature.</summary>
    public RankRequest Request(int candidates, int seed)
    {
        var random = new Random(seed);
        var request = new RankRequest
        {
            RequestId = $"r{seed}",
            Model = Model,
            SchemaFingerprint = Schema.Fingerprint,
            CandidateCount = candidates,
            WithLogits = true,
        };
        request.User.AddRange(Schema.User.Features.Select(f => RandomColumn(f, 1, random)));
        request.Item.AddRange(Schema.Item.Features.Concat(Schema.Live.Features).Select(f => RandomColumn(f, candidates, random)));
        return request;
    }

    /// <summary>What the student answers, computed in double precision straight from the formulas; row-major [N, T] logits.</summary>
    public float[] Score(RankRequest request)
    {
        var assembler = new FeatureAssembler(Schema, Tables);
        var user = new float[Schema.User.Width];
        var item = new float[request.CandidateCount * Schema.Item.Width];
        var live = new float[request.CandidateCount * Schema.Live.Width];
        var found = new Column[Schema.User.Features.Count];
        ColumnReader.Match(request.User, "user", 1, [Schema.User], found);
        assembler.AssembleUser(found, user);
        found = new Column[Schema.Item.Features.Count + Schema.Live.Features.Count];
        ColumnReader.Match(request.Item, "item", request.CandidateCount, [Schema.Item, Schema.Live], found);
        assembler.AssembleItems(found, request.CandidateCount, item, live);
        return StudentOracle.Score(Dense, user, item, live);
    }

    public VersionDraft Draft(GoldenBatch? golden = null) => VersionDraft.Take(Schema, Tables, Dense,
        golden ?? GoldenRequests.Batch(((int[])[101, 102, 103]).Select(s => Request(s - 90, s)).Select(r => (r, Score(r)))),
        new DraftOrigin(
            Position: new Dictionary<string, string> { [$"kd:{Model}:logits"] = $"1510000000000-{RecordsLearned}" },
            WatermarkMs: 1_510_000_000_000 + RecordsLearned,
            TeacherVersions: new Dictionary<string, long> { ["sample_teacher"] = RecordsLearned },
            RecordsLearned,
            Metrics: new Dictionary<string, double> { ["gauc"] = 0.75 })
        {
            Teachers = [new("sample_teacher", RecordsLearned, Records: 500, new Dictionary<string, TeacherMap> { ["click"] = new(0.5, -0.25, 0.2) },
                new Dictionary<string, double> { ["teacher_gauc"] = 0.8125 })],
        });

    /// <summary>Publishes the student as it is now; the first version and every twentieth are bases.</summary>
    public VersionManifest Publish(ModelRepository repository)
    {
        writer ??= new(repository, Model, new RefreshPolicy());
        // A test may have put a spoilt version there: the next good one is a base above it.
        var newest = repository.Versions(Model).LastOrDefault();
        if (newest > writer.State.NewestVersion)
            writer.Rebase(newest);
        using var draft = Draft();
        return writer.Publish(draft);
    }

    public void Dispose()
    {
        foreach (var table in Tables)
            table.Dispose();
    }

    private static Column RandomColumn(Feature feature, int rows, Random random)
    {
        var column = new Column { Name = feature.Name };
        switch (feature.Kind)
        {
            case FeatureKind.Numeric:
                column.Floats = new() { Value = { Enumerable.Range(0, rows).Select(_ => (float)random.NextDouble() * 20) } };
                break;
            case FeatureKind.Sequence:
                var lengths = Enumerable.Range(0, rows).Select(_ => random.Next(feature.MaxLength + 3)).ToArray();
                column.Sequences = new() { Lengths = { lengths }, Value = { Enumerable.Range(0, lengths.Sum()).Select(_ => random.NextInt64(100_000)) } };
                break;
            case FeatureKind.Vocabulary:
                column.Ints = new() { Value = { Enumerable.Range(0, rows).Select(_ => random.NextInt64(20)) } };
                break;
            default:
                column.Ints = new() { Value = { Enumerable.Range(0, rows).Select(_ => random.NextInt64(1_000_000)) } };
                break;
        }
        return column;
    }
}
