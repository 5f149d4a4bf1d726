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

        Assert.Equal(4, store.Newest(reports.Add)!.Value.Manifest.Missing);
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
        var path = Path.Combine(store.Newest(reports.Add)!.Value.Path, file);
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

        Assert.Equal(1, store.Newest(reports.Add)!.Value.Manifest.Missing);
        Assert.Contains("falling back", Assert.Single(reports), StringComparison.Ordinal);
    }

    [Fact]
    public void A_write_that_fails_leaves_what_was_there()
    {
        var store = new CheckpointStore(folder.Path, keep: 3);
        Save(store, 1);

        Assert.Throws<IOException>(() => store.Save(
            new Dictionary<string, Action<Stream>> { ["a.bin"] = _ => throw new IOException("no space left on device") }, _ => Manifest(2)));

        Assert.Equal(1, store.Newest(reports.Add)!.Value.Manifest.Missing);
        Assert.Single(Directory.GetDirectories(folder.Path));
    }

    [Fact]
    public void What_a_crash_left_half_written_is_not_taken()
    {
        var store = new CheckpointStore(folder.Path, keep: 3);
        Save(store, 1);
        Directory.CreateDirectory(Path.Combine(folder.Path, ".staging-2"));

        Assert.Equal(1, store.Newest(reports.Add)!.Value.Manifest.Missing);
        Save(store, 2);
        Assert.Equal(2, Directory.GetDirectories(folder.Path).Length);
    }

    private static void Save(CheckpointStore store, int mark) => store.Save(
        new Dictionary<string, Action<Stream>> { ["a.bin"] = s => s.Write(new byte[100_000]) },
        files => Manifest(mark) with { Files = files });

    // Missing serves as the mark by which a checkpoint is known.
    private static CheckpointManifest Manifest(int mark) => new()
    {
        Format = CheckpointManifest.CurrentFormat,
        Model = "m",
        SchemaFingerprint = "0",
        CreatedAtMs = 1,
        Position = new Dictionary<string, string> { ["k"] = "1-0" },
        Producers = new Dictionary<string, Contracts.ProducerSequences.ProducerState> { ["p"] = new(3, 4) },
        Missing = mark,
        Repeats = 0,
        Counters = new(),
        TeacherVersions = new Dictionary<string, long>(),
        FrozenVersion = 0,
        Files = new Dictionary<string, Contracts.VersionFile>(),
    };
}
