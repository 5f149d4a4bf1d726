namespace KdServing.Contracts.Tests.Versions;

public sealed class WholeFolderTests : IDisposable
{
    // Enough that removing them takes longer than looking at them.
    private const int Files = 5000;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task A_folder_that_is_renamed_while_it_is_removed_never_shows_in_part()
    {
        var (staging, final) = (Fill(".staging-1"), folder["1"]);

        var writer = Task.Run(() =>
        {
            // Its rename comes at the first moment at which a file is gone.
            while (Count(staging) == Files)
            {
            }
            try
            {
                Directory.Move(staging, final);
            }
            catch (DirectoryNotFoundException)
            {
                // As it should be.
            }
        });
        WholeFolder.Remove(staging);
        await writer;

        Assert.False(Directory.Exists(final));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public async Task Two_that_remove_the_same_are_not_in_each_others_way()
    {
        for (var i = 0; i < 20; i++)
        {
            var path = Fill($".staging-{i}", 100);
            using var start = new Barrier(2);
            await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
            {
                start.SignalAndWait();
                WholeFolder.Sweep(folder.Path, ".staging-");
            })));
            Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
        }
    }

    [Fact]
    public void What_one_left_that_died_as_it_removed_is_swept_up()
    {
        Fill(".removed-7", 3);
        Fill(".staging-8", 3);
        Fill(".removed-.staging-8", 3);
        Fill("6", 3);

        WholeFolder.Sweep(folder.Path, ".staging-");

        Assert.Equal([folder["6"]], Directory.EnumerateFileSystemEntries(folder.Path));
    }

    private string Fill(string name, int files = Files)
    {
        var path = Directory.CreateDirectory(folder[name]).FullName;
        for (var i = 0; i < files; i++)
            File.WriteAllText(Path.Combine(path, $"{i}"), "");
        return path;
    }

    private static int Count(string path)
    {
        try
        {
            return Directory.EnumerateFiles(path).Count();
        }
        catch (DirectoryNotFoundException)
        {
            return 0;
        }
    }
}
