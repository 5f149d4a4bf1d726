using System.Security.Cryptography;
using KdServing.Distiller.Checkpoints;
using KdServing.LoadTests.Demo;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>The same stream, learned by a Distiller that nobody disturbs: what the weights must be.</summary>
internal static class UndisturbedRun
{
    private const int Pipelined = 256;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(20);

    /// <summary>SHA-256 of weights, rows and optimiser state after the whole stream.</summary>
    /// <param name="entries">The stream's entries, oldest first; they keep their ids.</param>
    /// <param name="folder">Of this run alone.</param>
    /// <exception cref="DemoException">The Distiller did not get through.</exception>
    public static async Task<string> HashAsync(IEnumerable<AofEntry> entries, ChaosStudent student, string folder, CancellationToken cancellation)
    {
        using var own = new DemoFolder(folder);
        await using var system = new ChaosSystem(own, student, withDisk: false);
        await system.StartRedisAsync(cancellation);
        var connection = system.Connect();
        try
        {
            await FillAsync(connection.GetDatabase(), entries);
            var distiller = system.StartDistiller("distiller", "--until-idle-seconds", "3");
            system.MayEnd("distiller");
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(Patience);
            await distiller.WaitAsync(limit.Token);
            if (distiller.ExitCode != 0)
                throw new DemoException($"the undisturbed Distiller {distiller.ExitReason()}: {string.Join(" / ", distiller.LogTail(3))}");
        }
        finally
        {
            connection.Close(allowCommandsToComplete: false);
        }
        return StateHash(system.State);
    }

    /// <summary>SHA-256 of weights, rows and optimiser state in the newest whole checkpoint.</summary>
    /// <exception cref="DemoException">There is none.</exception>
    public static string StateHash(string stateFolder)
    {
        // The checkpoint of a clean stop is a full one.
        using var stream = File.OpenRead(Path.Combine(Newest(stateFolder).Path, "student.safetensors"));
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    /// <summary>The newest whole checkpoint.</summary>
    /// <exception cref="DemoException">There is none.</exception>
    public static StoredCheckpoint Newest(string stateFolder) =>
        new CheckpointStore(Path.Combine(stateFolder, "checkpoints"), keep: 1).Whole(_ => { }).FirstOrDefault()
        ?? throw new DemoException($"no whole checkpoint in {stateFolder}");

    /// <summary>Adds entries to their streams, under the ids they have.</summary>
    public static async Task FillAsync(IDatabase redis, IEnumerable<AofEntry> entries)
    {
        foreach (var chunk in entries.Chunk(Pipelined))
        {
            await Task.WhenAll(chunk.Select(entry =>
                redis.ExecuteAsync("XADD", [(RedisKey)entry.Key, entry.Id.ToString(), .. entry.Fields.Select(f => (object)(RedisValue)f)])));
        }
    }
}
