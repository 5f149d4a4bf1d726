using KdServing.Contracts;
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

        store.SetAsideAfter(1, epoch: 2);
        Assert.Single(store.Whole(reports.Add));
        Assert.Equal(2, reports.Count);
    }

    // An owner that slept past its lease sweeps up what a crash left, just as its successor writes.
    [Fact]
    public void A_sweep_takes_a_checkpoint_in_the_making_whole_or_not_at_all()
    {
        var (sleeper, successor) = (new CheckpointStore(folder.Path, keep: 3), new CheckpointStore(folder.Path, keep: 3));
        Save(sleeper, 1);

        Assert.ThrowsAny<IOException>(() => successor.Save(
            new Dictionary<string, Action<Stream>> { ["a.bin"] = s => s.Write([1]), ["b.bin"] = s => s.Write([2]) },
            files =>
            {
                Save(sleeper, 2);
                return Manifest(3) with { Files = files };
            }));
        Save(successor, 4);

        Assert.Equal([4, 2, 1], successor.Whole(reports.Add).Select(c => c.Manifest.Batches));
        Assert.Empty(reports);
    }

    [Fact]
    public void One_that_is_swept_while_it_is_removed_is_gone()
    {
        var store = new CheckpointStore(folder.Path, keep: 3);
        var staging = Directory.CreateDirectory(Path.Combine(folder.Path, ".staging-7-other"));
        File.WriteAllText(Path.Combine(staging.FullName, "a.bin"), "half");
        Directory.CreateDirectory(Path.Combine(folder.Path, ".removed-.staging-7-other"));

        Save(store, 1);

        Assert.Equal(["0000000001"], Directory.GetDirectories(folder.Path).Select(p => Path.GetFileName(p)!));
    }

    [Fact]
    public void An_owner_that_was_succeeded_adds_nothing()
    {
        var (sleeper, successor) = (new CheckpointStore(folder.Path, keep: 3), new CheckpointStore(folder.Path, keep: 3));
        Save(sleeper, 1);
        Save(successor, 2, epoch: 2);

        Assert.Throws<StaleEpochException>(() => Save(sleeper, 3));

        Assert.Equal([2, 1], successor.Whole(reports.Add).Select(c => c.Manifest.Batches));
        Assert.Equal(2, Directory.GetDirectories(folder.Path).Length);
    }

    // It slept in its recovery, between choosing checkpoint 1 and putting aside what is newer.
    [Fact]
    public void An_owner_that_was_succeeded_puts_nothing_of_its_successor_aside()
    {
        var (sleeper, successor) = (new CheckpointStore(folder.Path, keep: 3), new CheckpointStore(folder.Path, keep: 3));
        Save(sleeper, 1);
        Save(sleeper, 2);
        successor.SetAsideAfter(1, epoch: 3);
        Save(successor, 3, epoch: 3);

        sleeper.SetAsideAfter(1, epoch: 2);

        Assert.Equal([3, 1], successor.Whole(reports.Add).Select(c => c.Manifest.Batches));
    }

    // Whoever read the manifest of a checkpoint before it was put aside must not meet another under its number.
    [Fact]
    public void A_number_is_given_once()
    {
        var store = new CheckpointStore(folder.Path, keep: 3);
        Save(store, 1);
        Save(store, 2);
        store.SetAsideAfter(1, epoch: 2);

        Save(store, 3, epoch: 2);

        Assert.Equal([3, 1], store.Whole(reports.Add).Select(c => c.Number));
    }

    [Fact]
    public void One_that_comes_while_older_ones_are_looked_at_is_found()
    {
        var (sleeper, successor) = (new CheckpointStore(folder.Path, keep: 1), new CheckpointStore(folder.Path, keep: 1));
        Save(sleeper, 1);
        File.WriteAllText(Path.Combine(folder.Path, "0000000001", "a.bin"), "");

        var found = successor.Whole(report =>
        {
            reports.Add(report);
            Save(sleeper, 2);
        });

        Assert.Equal(2, Assert.Single(found).Manifest.Batches);
        Assert.Single(reports);
    }

    [Fact]
    public void While_a_kept_one_can_not_be_read_nothing_is_removed()
    {
        var store = new CheckpointStore(folder.Path, keep: 2);
        Save(store, 1);
        Save(store, 2, previous: 1);
        File.WriteAllText(Path.Combine(folder.Path, "0000000002", CheckpointManifest.FileName), "");

        Save(store, 3);
        Assert.Equal(3, Directory.GetDirectories(folder.Path).Length);

        Save(store, 4);
        Assert.Equal(["0000000003", "0000000004"], Directory.GetDirectories(folder.Path).Select(p => Path.GetFileName(p)!).Order());
    }

    private static void Save(CheckpointStore store, int mark, long previous = 0, long epoch = 1) => store.Save(
        new Dictionary<string, Action<Stream>> { ["a.bin"] = s => s.Write(new byte[100_000]) },
        files => Manifest(mark, previous) with { Epoch = epoch, Files = files });

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
            ["k"] = new("1-0", 5, 0, 0, new Dictionary<string, ProducerSequences.ProducerState> { ["p"] = new(3, 4, 5, [6]) }),
        },
        Counters = new(),
        TeacherVersions = new Dictionary<string, long>(),
        Publication = new(3, 2, 2, 9),
        LiveVersion = 0,
        FrozenVersion = 0,
        Files = new Dictionary<string, VersionFile>(),
    };
}
