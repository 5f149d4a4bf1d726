using KdServing.Distiller.Checkpoints;

namespace KdServing.Distiller.Tests.Checkpoints;

public sealed class CheckpointStoreTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly List<string> reports = [];

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_last_few_are_kept_and_the_newest_is_found()
    {
        var store = new CheckpointStore(folder.Path, keep: 2);
        for (var i = 1; i <= 4; i++)
            Save(store, i);

        Assert.Equal(4, store.Whole(reports.Add).First().Manifest.Batches);
        Assert.Equal(2, Directory.GetDirectories(folder.Path).Length);
        Assert.Empty(reports);
    }

    [Theory]
    [InlineData("a.bin", "flip")]
    [InlineData("a.bin", "cut")]
    [InlineData("a.bin", "delete")]
    [InlineData(CheckpointManifest.FileName, "cut")]
    [InlineData(CheckpointManifest.FileName, "delete")]
    public void A_damaged_one_is_reported_and_the_one_before_taken(string file, string damage)
    {
        var store = new CheckpointStore(folder.Path, keep: 3);
        Save(store, 1);
        Save(store, 2);
        var path = Path.Combine(store.Whole(reports.Add).First().Path, file);
        var bytes = File.ReadAllBytes(path);
        switch (damage)
        {
            case "flip":
                bytes[bytes.Length / 2] ^= 1;
                File.WriteAllBytes(path, bytes);
                break;
            case "cut":
                File.WriteAllBytes(path, bytes[..^3]);
                break;
            default:
                File.Delete(path);
                break;
        }

        Assert.Equal(1, store.Whole(reports.Add).First().Manifest.Batches);
        Assert.Contains("is damaged", Assert.Single(reports), StringComparison.Ordinal);
    }

    [Fact]
    public void A_write_that_fails_leaves_what_was_there()
    {
        var store = new CheckpointStore(folder.Path, keep: 3);
        Save(store, 1);

        Assert.Throws<IOException>(() => store.Save(
            new Dictionary<string, Action<Stream>> { ["a.bin"] = _ => throw new IOException("no space left on device") }, _ => Manifest(2)));

        Assert.Equal(1, store.Whole(reports.Add).First().Manifest.Batches);
        Assert.Single(Directory.GetDirectories(folder.Path));
    }

    [Fact]
    public void What_a_crash_left_half_written_is_not_taken()
    {
        var store = new CheckpointStore(folder.Path, keep: 3);
        Save(store, 1);
        Directory.CreateDirectory(Path.Combine(folder.Path, ".staging-2"));

        Assert.Equal(1, store.Whole(reports.Add).First().Manifest.Batches);
        Save(store, 2);
        Assert.Equal(2, Directory.GetDirectories(folder.Path).Length);
    }

    // Checkpoints 1 and 4 are full, the others rest on the one before.
    [Fact]
    public void What_a_kept_checkpoint_rests_on_is_kept_too()
    {
        var store = new CheckpointStore(folder.Path, keep: 2);
        foreach (var (mark, previous) in ((int, long)[])[(1, 0), (2, 1), (3, 2)])
            Save(store, mark, previous);
        Assert.Equal(3, Directory.GetDirectories(folder.Path).Length);
        Assert.Equal(3, store.Whole(reports.Add).First().Chain.Count);

        Save(store, 4);
        Save(store, 5, 4);

        Assert.Equal(["0000000004", "0000000005"], Directory.GetDirectories(folder.Path).Select(p => Path.GetFileName(p)!).Order());
    }

    [Fact]
    public void One_that_rests_on_a_damaged_one_is_damaged_too()
    {
        var store = new CheckpointStore(folder.Path, keep: 4);
        Save(store, 1);
        Save(store, 2);
        Save(store, 3, previous: 2);
        File.WriteAllText(Path.Combine(folder.Path, "0000000002", "a.bin"), "");

        Assert.Equal(1, Assert.Single(store.Whole(reports.Add)).Manifest.Batches);
        Assert.Equal(2, reports.Count);

        store.SetAsideAfter(1);
        Assert.Single(store.Whole(reports.Add));
        Assert.Equal(2, reports.Count);
    }

    private static void Save(CheckpointStore store, int mark, long previous = 0) => store.Save(
        new Dictionary<string, Action<Stream>> { ["a.bin"] = s => s.Write(new byte[100_000]) },
        files => Manifest(mark, previous) with { Files = files });

    // The number of batches serves as the mark by which a checkpoint is known.
    private static CheckpointManifest Manifest(int mark, long previous = 0) => new()
    {
        Format = CheckpointManifest.CurrentFormat,
        Model = "m",
        SchemaFingerprint = "0",
        CreatedAtMs = 1,
        Kind = previous == 0 ? CheckpointKind.Full : CheckpointKind.Incremental,
        Previous = previous,
        Epoch = 1,
        Life = "life",
        JournalSequence = 7,
        Batches = mark,
        Configuration = "c",
        Streams = new Dictionary<string, StreamState>
        {
            ["k"] = new("1-0", 5, 0, 0, new Dictionary<string, Contracts.ProducerSequences.ProducerState> { ["p"] = new(3, 4, 5, [6]) }),
        },
        Counters = new(),
        TeacherVersions = new Dictionary<string, long>(),
        Publication = new(3, 2, 2, 9),
        LiveVersion = 0,
        FrozenVersion = 0,
        Files = new Dictionary<string, Contracts.VersionFile>(),
    };
}
