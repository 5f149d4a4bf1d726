using System.IO.Compression;

namespace KdServing.Compat.Tests;

/// <summary>A megabyte that inflates to a gigabyte. Runs alone, since it counts what the process allocates.</summary>
[Collection(nameof(AllocationTests))]
public sealed class CompressionBombTests
{
    [Fact]
    public async Task It_is_refused_before_it_has_grown()
    {
        await using var server = await ScriptedServer.StartAsync();
        using var raw = new RawHttp2(server.Server.Address);
        var bomb = RawHttp2.Frame(GzipOfZeros(1_000_000_000), flag: 1);
        Assert.InRange(bomb.Length, 0, 4_000_000);
        await raw.PostAsync(RawHttp2.UnaryCall, bomb, headers: ("grpc-encoding", "gzip"));

        // The least of several: a collection in between may have emptied the pools of buffers, which fill again then.
        var allocatedBytes = long.MaxValue;
        for (var round = 0; round < 4; round++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            var response = await raw.PostAsync(RawHttp2.UnaryCall, bomb, headers: ("grpc-encoding", "gzip"));
            allocatedBytes = Math.Min(allocatedBytes, GC.GetTotalAllocatedBytes(precise: true) - before);
            Assert.Equal(("8", "Received message exceeds the maximum configured message size."), (response.Status, response.Message));
        }
        Assert.InRange(allocatedBytes, 0, 16_000_000);
    }

    private static byte[] GzipOfZeros(int length)
    {
        using var compressed = new MemoryStream();
        using (var gzip = new GZipStream(compressed, CompressionLevel.Optimal, leaveOpen: true))
            for (var zeros = new byte[1_000_000]; length > 0; length -= zeros.Length)
                gzip.Write(zeros);

        return compressed.ToArray();
    }
}
