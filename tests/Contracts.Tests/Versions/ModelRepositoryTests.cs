using System.Security.Cryptography;

namespace KdServing.Contracts.Tests.Versions;

public sealed class ModelRepositoryTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly ModelRepository repository;

    public ModelRepositoryTests() => repository = new(folder.Path);

    public void Dispose() => folder.Dispose();

    /// <summary>At which step of a publication something fails.</summary>
    public enum Step
    {
        BeforeWriting,
        AfterOneFile,
        Describing,
        DescribingWithAnInvalidManifest,
    }

    [Fact]
    public void A_version_is_seen_when_it_is_whole_and_not_before()
    {
        var seen = new List<int>();

        repository.Publish("news", 1,
            staging =>
            {
                File.WriteAllText(Path.Combine(staging, "head.onnx"), "graph");
                seen.Add(repository.Versions("news").Count);
            },
            files =>
            {
                seen.Add(repository.Versions("news").Count);
                return SampleManifest.Base(1, files);
            });

        Assert.Equal([0, 0], seen);
        Assert.Equal([1], repository.Versions("news"));
        var manifest = repository.Manifest("news", 1);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData("graph"u8)), manifest.Files["head.onnx"].Sha256);
        Assert.Equal("graph"u8.ToArray(), repository.ReadVerified(manifest, "head.onnx"));
    }

    // A publisher that slept between two files wakes up while its successor writes the same version: nothing of it gets in there.
    [Fact]
    public void Two_publishers_of_one_version_do_not_share_a_folder()
    {
        var (sleeper, successor) = (new ModelRepository(folder.Path) { StagingMark = "-a" }, new ModelRepository(folder.Path) { StagingMark = "-b" });

        Assert.ThrowsAny<IOException>(() => sleeper.Publish("news", 1, own =>
        {
            successor.Publish("news", 1, staging =>
            {
                File.WriteAllText(Path.Combine(staging, "head.onnx"), "the successor's");
                Assert.ThrowsAny<IOException>(() => File.WriteAllText(Path.Combine(own, "head.onnx"), "the sleeper's"));
            }, files => SampleManifest.Base(1, files));
            File.WriteAllText(Path.Combine(own, "head.onnx"), "the sleeper's");
        }, files => SampleManifest.Base(1, files)));

        Assert.Equal("the successor's"u8.ToArray(), repository.ReadVerified(repository.Manifest("news", 1), "head.onnx"));
    }

    // Each sweeps up what a killed publisher may have left: of one that is alive it takes all or nothing.
    [Fact]
    public void A_publisher_that_is_swept_up_publishes_nothing_in_part()
    {
        var (sleeper, successor) = (new ModelRepository(folder.Path) { StagingMark = "-a" }, new ModelRepository(folder.Path) { StagingMark = "-b" });

        Assert.ThrowsAny<IOException>(() => successor.Publish("news", 2,
            staging => File.WriteAllText(Path.Combine(staging, "head.onnx"), "graph"),
            files =>
            {
                sleeper.Publish("news", 1, _ => { }, none => SampleManifest.Base(1, none));
                return SampleManifest.Base(2, files);
            }));

        Assert.Equal(["1"], Directory.EnumerateFileSystemEntries(folder["news"]).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData(Step.BeforeWriting)]
    [InlineData(Step.AfterOneFile)]
    [InlineData(Step.Describing)]
    [InlineData(Step.DescribingWithAnInvalidManifest)]
    public void A_publication_that_fails_leaves_nothing(Step step)
    {
        Publish(1);

        Assert.ThrowsAny<Exception>(() => repository.Publish("news", 2,
            staging =>
            {
                Fail(Step.BeforeWriting);
                File.WriteAllText(Path.Combine(staging, "head.onnx"), "graph");
                Fail(Step.AfterOneFile);
            },
            files =>
            {
                Fail(Step.Describing);
                return step == Step.DescribingWithAnInvalidManifest ? null! : SampleManifest.Base(2, files);
            }));

        Assert.Equal(["1"], Directory.EnumerateFileSystemEntries(folder["news"]).Select(Path.GetFileName));
        Publish(2);
        Assert.Equal([1, 2], repository.Versions("news"));

        void Fail(Step at)
        {
            if (step == at)
                throw new InvalidOperationException("killed");
        }
    }

    [Fact]
    public void What_a_killed_publisher_left_is_never_seen_and_removed_by_the_next()
    {
        Publish(1);
        var staging = Path.Combine(folder["news"], ".staging-2");
        Directory.CreateDirectory(staging);
        File.WriteAllText(Path.Combine(staging, "head.onnx"), "gra");

        Assert.Equal([1], repository.Versions("news"));
        Publish(2);

        Assert.Equal(["1", "2"], Directory.EnumerateFileSystemEntries(folder["news"]).Select(p => Path.GetFileName(p)!).Order());
        Assert.Equal(["head.onnx"], repository.Manifest("news", 2).Files.Keys);
    }

    [Fact]
    public void A_version_is_published_once()
    {
        Publish(1);

        Assert.Contains("already published", Assert.Throws<IOException>(() => Publish(1)).Message);

        Assert.Equal("graph 1"u8.ToArray(), repository.ReadVerified(repository.Manifest("news", 1), "head.onnx"));
    }

    [Fact]
    public void A_write_the_disk_refuses_is_reported_and_leaves_nothing()
    {
        Publish(1);

        // The kernel's own "no space left on device", wherever this test runs.
        var fault = Assert.Throws<IOException>(() => repository.Publish("news", 2,
            _ => File.WriteAllBytes("/dev/full", new byte[100]), files => SampleManifest.Base(2, files)));

        Assert.Contains("No space left", fault.Message);
        Assert.Equal(["1"], Directory.EnumerateFileSystemEntries(folder["news"]).Select(Path.GetFileName));
    }

    [Fact]
    public void A_disk_that_fills_up_anywhere_in_a_publication_leaves_the_old_version_and_room_to_go_on()
    {
        using var disk = FullDisk.TryMount(kilobytes: 256);
        if (disk is null)
        {
            // Not root: a real full disk can not be made; the test above has shown the kernel's refusal.
            Assert.NotEqual("root", Environment.UserName);
            return;
        }
        var small = new ModelRepository(disk.Path);
        small.Publish("news", 1, Write(1000), files => SampleManifest.Base(1, files));

        // In the middle of a file.
        Assert.Throws<IOException>(() => small.Publish("news", 2, Write(300_000), files => SampleManifest.Base(2, files)));
        Assert.Equal(["1"], Directory.EnumerateFileSystemEntries(Path.Combine(disk.Path, "news")).Select(Path.GetFileName));
        // After the last file, before the manifest.
        Assert.Throws<IOException>(() => small.Publish("news", 2, staging => Write((int)disk.FreeBytes)(staging), files => SampleManifest.Base(2, files)));
        Assert.Equal(["1"], Directory.EnumerateFileSystemEntries(Path.Combine(disk.Path, "news")).Select(Path.GetFileName));

        small.Publish("news", 2, Write(1000), files => SampleManifest.Base(2, files));
        Assert.Equal([1, 2], small.Versions("news"));

        static Action<string> Write(int bytes) => staging => File.WriteAllBytes(Path.Combine(staging, "rows.bin"), new byte[bytes]);
    }

    [Fact]
    public void Any_flipped_bit_is_found()
    {
        var manifest = Publish(1);
        var path = Path.Combine(repository.Folder("news", 1), "head.onnx");
        var bytes = File.ReadAllBytes(path);
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << bit % 8);
            File.WriteAllBytes(path, bytes);
            Assert.Contains("SHA-256", Assert.Throws<ContractException>(() => repository.ReadVerified(manifest, "head.onnx")).Reason);
            bytes[bit / 8] ^= (byte)(1 << bit % 8);
        }
    }

    // Whether the reader takes all of it or stops early, what it made of other bytes than the manifest's is not handed on.
    [Fact]
    public void A_file_read_in_pieces_is_verified_whole()
    {
        var manifest = Publish(1);
        Assert.Equal("grap", repository.ReadVerified(manifest, "head.onnx", s => $"{(char)s.ReadByte()}{(char)s.ReadByte()}{(char)s.ReadByte()}{(char)s.ReadByte()}"));
        Assert.Equal((7, 0), repository.ReadVerified(manifest, "head.onnx", s => (s.Read(new byte[100], 0, 100), s.Read(new byte[100], 0, 100))));
        Assert.Equal("is no number", Fault().Reason);
        repository.Verify(manifest, "head.onnx");

        // Past the four bytes that the reader takes.
        File.WriteAllText(Path.Combine(repository.Folder("news", 1), "head.onnx"), "graph 2");
        Assert.Contains("SHA-256", Assert.Throws<ContractException>(() => repository.ReadVerified(manifest, "head.onnx", s => s.Read(new byte[4], 0, 4))).Reason);
        // The reader's complaint would blame the publisher for what the disk did.
        Assert.Contains("SHA-256", Fault().Reason);
        Assert.Contains("SHA-256", Assert.Throws<ContractException>(() => repository.Verify(manifest, "head.onnx")).Reason);

        ContractException Fault() => Assert.Throws<ContractException>(() =>
            repository.ReadVerified(manifest, "head.onnx", s => s.ReadByte() == '1' ? 1 : throw new ContractException("head.onnx", "is no number")));
    }

    [Fact]
    public void A_cut_missing_or_unlisted_file_is_found()
    {
        var manifest = Publish(1);
        var path = Path.Combine(repository.Folder("news", 1), "head.onnx");

        File.WriteAllText(path, "graph");
        Assert.Contains("has 5 bytes, the manifest says 7", Assert.Throws<ContractException>(() => repository.ReadVerified(manifest, "head.onnx")).Reason);
        File.Delete(path);
        Assert.Contains("is missing", Assert.Throws<ContractException>(() => repository.ReadVerified(manifest, "head.onnx")).Reason);
        Assert.Contains("is missing", Assert.Throws<ContractException>(() => repository.ReadVerified(manifest, "other.onnx")).Reason);
    }

    [Fact]
    public void A_manifest_in_another_folder_is_refused()
    {
        Publish(1);
        Directory.Move(folder["news/1"], folder["news/2"]);

        Assert.Equal("manifest", Assert.Throws<ContractException>(() => repository.Manifest("news", 2)).Field);
        Assert.Equal("manifest.json", Assert.Throws<ContractException>(() => repository.Manifest("news", 1)).Field);
    }

    [Fact]
    public void A_chain_runs_from_its_base()
    {
        Publish(1);
        Publish(2, files => SampleManifest.Delta(2, 1, 1, files));
        Publish(3, files => SampleManifest.Delta(3, 2, 1, files));

        Assert.Equal([1, 2, 3], repository.Chain(repository.Manifest("news", 3)).Select(m => m.Version));
        Assert.Equal([1], repository.Chain(repository.Manifest("news", 1)).Select(m => m.Version));

        Publish(4);
        Publish(5, files => SampleManifest.Delta(5, 4, 3, files));
        Assert.Equal("manifest.base_version", Assert.Throws<ContractException>(() => repository.Chain(repository.Manifest("news", 5))).Field);
        Directory.Delete(folder["news/2"], recursive: true);
        Assert.Throws<ContractException>(() => repository.Chain(repository.Manifest("news", 3)));
    }

    [Fact]
    public void Only_folders_that_are_versions_count()
    {
        Publish(10);
        Publish(9);
        foreach (var other in (string[])["0", "-1", "+3", "1.5", "latest", ".staging-11", "007x"])
            Directory.CreateDirectory(Path.Combine(folder["news"], other));
        File.WriteAllText(Path.Combine(folder["news"], "12"), "a file");

        Assert.Equal([9, 10], repository.Versions("news"));
        Assert.Empty(repository.Versions("unknown"));
        Assert.Equal("model", Assert.Throws<ContractException>(() => repository.Versions("../news")).Field);
    }

    private VersionManifest Publish(long version, Func<IReadOnlyDictionary<string, VersionFile>, VersionManifest>? describe = null) =>
        repository.Publish("news", version, staging => File.WriteAllText(Path.Combine(staging, "head.onnx"), $"graph {version}"),
            describe ?? (files => SampleManifest.Base(version, files)));
}
