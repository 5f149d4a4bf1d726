using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Tests.Publishing;

public sealed class VersionWriterTests : IDisposable
{
    internal const string OneTargetNoLive = """
        { "name": "plain", "targets": ["click"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 50, "dim": 4 },
          { "name": "item_id", "side": "item", "kind": "hash", "buckets": 40, "dim": 4 } ] }
        """;

    private const string Model = SampleStudent.Model;
    private readonly TemporaryFolder folder = new();
    private readonly ModelRepository repository;

    public VersionWriterTests() => repository = new(folder.Path);

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("mlp", SampleStudent.SchemaJson)]
    [InlineData("two_tower", SampleStudent.SchemaJson)]
    [InlineData("mlp", OneTargetNoLive)]
    [InlineData("two_tower", OneTargetNoLive)]
    public void Every_family_is_published_with_graphs_that_agree_with_its_formulas(string family, string schema)
    {
        using var sample = new SampleStudent(family, seed: 5, schema);

        var manifest = sample.Publish(repository);

        Assert.Equal(VersionKind.Base, manifest.Kind);
        Assert.Equal(["golden.pb", "head.onnx", "item_encoder.onnx", "ranker.onnx", "rows.bin", "schema.json", "user_encoder.onnx"], manifest.Files.Keys);
        Assert.InRange(manifest.Metrics["parity_error"], 0, ParityCheck.Tolerance);
        Assert.Equal(0.75, manifest.Metrics["gauc"]);
        Assert.Equal(manifest.ToJson(), repository.Manifest(Model, 1).ToJson());
    }

    [Fact]
    public void A_base_and_its_deltas_give_back_the_trainers_tables()
    {
        using var sample = new SampleStudent("mlp");
        sample.Publish(repository);
        for (var seed = 2; seed < 6; seed++)
        {
            sample.Learn(seed);
            sample.Publish(repository);
        }

        var newest = repository.Manifest(Model, 5);
        var chain = repository.Chain(newest);

        Assert.Equal([VersionKind.Base, .. Enumerable.Repeat(VersionKind.Delta, 4)], chain.Select(m => m.Kind));
        Assert.All(chain.Skip(1), m => Assert.True(m.Files["rows.bin"].Bytes < chain[0].Files["rows.bin"].Bytes / 10));
        Assert.All(chain.Skip(1), m => Assert.DoesNotContain("ranker.onnx", m.Files.Keys));
        AssertSameRows(sample, chain);
    }

    [Fact]
    public void One_version_in_base_every_is_a_base()
    {
        using var sample = new SampleStudent("mlp", schema: OneTargetNoLive);
        var writer = new VersionWriter(repository, Model, new RefreshPolicy { BaseEvery = 3 });

        var kinds = Enumerable.Range(2, 7).Select(seed => Publish(writer, sample, seed).Kind).ToArray();

        Assert.Equal([VersionKind.Base, VersionKind.Delta, VersionKind.Delta, VersionKind.Base, VersionKind.Delta, VersionKind.Delta, VersionKind.Base], kinds);
    }

    [Fact]
    public void Chains_older_than_the_bases_to_keep_are_removed_whole()
    {
        using var sample = new SampleStudent("mlp", schema: OneTargetNoLive);
        var writer = new VersionWriter(repository, Model, new RefreshPolicy { BaseEvery = 2, KeepBases = 2 });

        foreach (var seed in Enumerable.Range(2, 6))
            Publish(writer, sample, seed);

        // Bases were 1, 3 and 5; 3 is the older one to keep.
        Assert.Equal([3, 4, 5, 6], repository.Versions(Model));
        Assert.Equal(2, repository.Chain(repository.Manifest(Model, 4)).Count);
        Assert.Equal(4, Directory.EnumerateFileSystemEntries(Path.GetDirectoryName(repository.Folder(Model, 3))!).Count());
    }

    [Fact]
    public void The_first_version_after_a_restart_is_a_base_and_continues_the_numbers()
    {
        using var sample = new SampleStudent("mlp", schema: OneTargetNoLive);
        Publish(new(repository, Model, new RefreshPolicy()), sample, 2);

        var manifest = Publish(new(repository, Model, new RefreshPolicy()), sample, 3);

        Assert.Equal((2, VersionKind.Base), (manifest.Version, manifest.Kind));
    }

    // A clock that was set back must not date a version before the one it follows: servers tell a replay by number and date.
    [Fact]
    public void A_version_is_younger_than_the_one_before_it_whatever_the_clock_says()
    {
        using var sample = new SampleStudent("mlp", schema: OneTargetNoLive);
        var writer = new VersionWriter(repository, Model, new RefreshPolicy());
        var first = Publish(writer, sample, 2);
        var hourBack = first.CreatedAtMs - 3_600_000;

        Assert.Equal(first.CreatedAtMs + 1, writer.Plan(hourBack).CreatedAtMs);
        Assert.Equal(first.CreatedAtMs + 5000, writer.Plan(first.CreatedAtMs + 5000).CreatedAtMs);
        // Another process knows it from the repository alone.
        var restarted = new VersionWriter(repository, Model, new RefreshPolicy());
        restarted.Rebase(first.Version);
        Assert.Equal(first.CreatedAtMs + 1, restarted.Plan(hourBack).CreatedAtMs);
    }

    [Fact]
    public void Rows_of_a_draft_that_was_held_are_in_the_next_delta()
    {
        using var sample = new SampleStudent("mlp");
        var writer = new VersionWriter(repository, Model, new RefreshPolicy());
        Publish(writer, sample, 2);
        sample.Learn(3);
        using (var held = sample.Draft())
            writer.Hold(held);

        Publish(writer, sample, 4);

        AssertSameRows(sample, repository.Chain(repository.Manifest(Model, 2)));
    }

    [Fact]
    public void A_draft_the_graphs_disagree_with_is_refused_and_its_rows_are_in_the_next_delta()
    {
        using var sample = new SampleStudent("two_tower");
        var writer = new VersionWriter(repository, Model, new RefreshPolicy());
        Publish(writer, sample, 2);
        sample.Learn(3);
        var golden = Golden(sample);
        golden.Cases[1].Logits[3] += 1e-3f;

        using (var draft = sample.Draft(golden))
        {
            var fault = Assert.Throws<ParityException>(() => writer.Publish(draft));
            Assert.Contains("candidate 12 of the golden batch, target 'buy'", fault.Message);
        }

        Assert.Equal([1], repository.Versions(Model));
        Assert.Equal(["1"], Directory.EnumerateFileSystemEntries(folder[Model]).Select(Path.GetFileName));
        Publish(writer, sample, 4);
        AssertSameRows(sample, repository.Chain(repository.Manifest(Model, 2)));
    }

    [Fact]
    public void A_student_that_diverged_is_refused()
    {
        using var sample = new SampleStudent("mlp");
        ((DenseMlp)sample.Dense).Output.Weight[0] = float.NaN;
        using var draft = sample.Draft();

        Assert.Throws<ParityException>(() => new VersionWriter(repository, Model, new RefreshPolicy()).Publish(draft));

        Assert.Empty(repository.Versions(Model));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.NegativeInfinity)]
    public void A_row_that_diverged_is_refused_though_no_golden_request_reads_it(float value)
    {
        using var sample = new SampleStudent("mlp");
        var writer = new VersionWriter(repository, Model, new RefreshPolicy());
        Publish(writer, sample, 2);
        var unread = sample.Schema.Tables.ToList().FindIndex(t => t.Name == "user_id");
        sample.Tables[unread].Writable(4321)[15] = value;
        using var draft = sample.Draft();

        Assert.Contains("row 4321 of table 'user_id'", Assert.Throws<ParityException>(() => writer.Publish(draft)).Message);

        Assert.Equal([1], repository.Versions(Model));
    }

    [Fact]
    public void A_draft_without_golden_requests_is_refused()
    {
        using var sample = new SampleStudent("mlp");
        using var draft = sample.Draft(new GoldenBatch());

        var fault = Assert.Throws<ContractException>(() => new VersionWriter(repository, Model, new RefreshPolicy()).Publish(draft));

        Assert.Equal("golden.cases", fault.Field);
    }

    [Fact]
    public void Training_goes_on_while_a_draft_is_written()
    {
        using var sample = new SampleStudent("mlp");
        var writer = new VersionWriter(repository, Model, new RefreshPolicy());
        using var draft = sample.Draft();
        var before = sample.Tables[0][7].ToArray();
        sample.Tables[0].Writable(7)[0] += 1;

        writer.Publish(draft);
        var manifest = Publish(writer, sample, 3, rowsPerTable: 0);

        using var published = Replay(sample, [repository.Manifest(Model, 1)]);
        Assert.Equal(before, published.Tables[0][7]);
        AssertSameRows(sample, repository.Chain(manifest));
    }

    private static VersionManifest Publish(VersionWriter writer, SampleStudent sample, int seed, int rowsPerTable = 20)
    {
        sample.Learn(seed, rowsPerTable);
        using var draft = sample.Draft();
        return writer.Publish(draft);
    }

    private static GoldenBatch Golden(SampleStudent sample) => GoldenRequests.Batch(
        ((int[])[11, 12]).Select(n => sample.Request(n, n)).Select(r => (r, sample.Score(r))));

    private void AssertSameRows(SampleStudent sample, IReadOnlyList<VersionManifest> chain)
    {
        using var replayed = Replay(sample, chain);
        for (var t = 0; t < sample.Tables.Count; t++)
        {
            for (var row = 0; row < sample.Tables[t].Rows; row++)
                Assert.True(sample.Tables[t][row].SequenceEqual(replayed.Tables[t][row]), $"table {sample.Tables[t].Shape.Name} row {row}");
        }
    }

    private Rows Replay(SampleStudent sample, IReadOnlyList<VersionManifest> chain)
    {
        var rows = new Rows([.. sample.Schema.Tables.Select(t => new EmbeddingTable(t))]);
        foreach (var manifest in chain)
            repository.ReadVerified(manifest, StudentSignature.RowsFile, s => RowsFile.Apply(s, rows.Tables, requireFinite: true));
        return rows;
    }

    private sealed record Rows(IReadOnlyList<EmbeddingTable> Tables) : IDisposable
    {
        public void Dispose()
        {
            foreach (var table in Tables)
                table.Dispose();
        }
    }
}
