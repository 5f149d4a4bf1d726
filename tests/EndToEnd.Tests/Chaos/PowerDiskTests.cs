using KdServing.Contracts;
using KdServing.LoadTests.Chaos;
using KdServing.LoadTests.Demo;

namespace KdServing.EndToEnd.Tests.Chaos;

/// <summary>The disk forgets what it may, and nothing else; without the right to make one, that is said.</summary>
public sealed class PowerDiskTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task What_was_flushed_survives_a_power_cut_and_nothing_else_does()
    {
        if (!PowerDisk.IsPossible)
        {
            var fault = await Assert.ThrowsAsync<DemoException>(() => PowerLossDrill.RunAsync(new(1, 1, null, null, null, 1, 100, 0, folder["run"]), 1, CancellationToken.None));
            Assert.Contains("root", fault.Message, StringComparison.Ordinal);
            return;
        }
        using var disk = new PowerDisk(folder["disk"]);
        DurableFile.Write(Path.Combine(disk.Path, "flushed"), s => s.Write(new byte[5000]));
        DurableFile.FlushFolder(disk.Path);
        File.WriteAllText(Path.Combine(disk.Path, "forgotten"), "never flushed");
        await File.AppendAllTextAsync(Path.Combine(disk.Path, "flushed"), "nor is this");
        File.Move(Path.Combine(disk.Path, "flushed"), Path.Combine(disk.Path, "renamed"));

        disk.Cut();
        Assert.ThrowsAny<IOException>(() => DurableFile.Write(Path.Combine(disk.Path, "late"), s => s.Write(new byte[1])));
        await disk.RestoreAsync(CancellationToken.None);

        var file = Assert.Single(Directory.GetFiles(disk.Path));
        Assert.Equal(("flushed", 5000), (Path.GetFileName(file), new FileInfo(file).Length));
    }
}
