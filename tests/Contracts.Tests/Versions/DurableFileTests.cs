namespace KdServing.Contracts.Tests.Versions;

public sealed class DurableFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Replace_gives_readers_the_old_content_or_the_new()
    {
        DurableFile.Replace(folder["status"], s => s.Write("one"u8));
        var during = "";

        DurableFile.Replace(folder["status"], s =>
        {
            s.Write("two"u8);
            during = File.ReadAllText(folder["status"]);
        });

        Assert.Equal("one", during);
        Assert.Equal("two", File.ReadAllText(folder["status"]));
    }

    [Fact]
    public void A_replacement_that_fails_leaves_the_old_content_alone()
    {
        DurableFile.Replace(folder["status"], s => s.Write("one"u8));

        Assert.Throws<InvalidOperationException>(() => DurableFile.Replace(folder["status"], _ => throw new InvalidOperationException()));

        Assert.Equal("one", File.ReadAllText(folder["status"]));
        Assert.Single(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_folder_that_is_not_there_can_not_be_flushed() =>
        Assert.Contains("errno 2", Assert.Throws<IOException>(() => DurableFile.FlushFolder(folder["nowhere"])).Message);
}
