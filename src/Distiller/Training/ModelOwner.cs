using System.Diagnostics;
using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Distiller.Training;

/// <summary>At most one Distiller trains a model: a lease in Redis, renewed every other second.</summary>
/// <remarks>
/// The lease holds <c>host/pid/token</c>. A predecessor on this host whose process is gone is replaced at once, so that a restart after
/// a crash does not wait; any other holder is waited for until its lease ends.
/// </remarks>
public sealed class ModelOwner(IDatabase redis, string model)
{
    private const int LeaseMs = 15_000;
    private const int RenewMs = 2_000;

    // Sets the lease when it is free, ours, or that of the holder named; returns who holds it then.
    private const string Claim = """
        local holder = redis.call('GET', KEYS[1])
        if not holder or holder == ARGV[1] or holder == ARGV[2] then
          redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
          return ARGV[1]
        end
        return holder
        """;

    private const string Give = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

    private readonly RedisKey key = new StreamKeys(model).Owner;
    private readonly string self = $"{Environment.MachineName}/{Environment.ProcessId}/{Guid.NewGuid():N}";
    private Task<string>? renewing;
    private long renewedAtMs;

    /// <summary>Takes the lease; waits, and says for whom, while another holds it.</summary>
    public async Task TakeAsync(LogitStream stream, CancellationToken stop)
    {
        var holder = "";
        while (true)
        {
            await stream.InsistAsync(async () => holder = await ClaimAsync(IsGone(holder) ? holder : ""), stop);
            if (holder == self)
                return;
            if (IsGone(holder))
                continue;
            DistillerLog.WarnSometimes("owner", $"model '{model}' is being trained by {holder}; waiting until it stops");
            await Task.Delay(500, stop);
        }
    }

    /// <summary>Renews the lease when due, beside the training.</summary>
    /// <exception cref="OwnershipLostException">Another Distiller has taken the model.</exception>
    public void Renew()
    {
        if (renewing is { IsCompleted: true })
        {
            // A claim that failed (Redis away) is repeated; the lease may end meanwhile, and then the next claim takes it back or not.
            if (renewing.IsCompletedSuccessfully && renewing.Result != self)
                throw new OwnershipLostException($"model '{model}' was taken over by {renewing.Result}; this Distiller stops");
            renewing = null;
        }
        if (renewing is null && Environment.TickCount64 - renewedAtMs >= RenewMs)
        {
            renewedAtMs = Environment.TickCount64;
            renewing = ClaimAsync("");
        }
    }

    /// <summary>Gives the lease back, if Redis is there to take it.</summary>
    public async Task GiveBackAsync()
    {
        try
        {
            await redis.ScriptEvaluateAsync(Give, [key], [self]);
        }
        catch (Exception e) when (LogitStreamWriter.IsTransient(e))
        {
            // It ends by itself.
        }
    }

    private async Task<string> ClaimAsync(string replacing) =>
        (string)(await redis.ScriptEvaluateAsync(Claim, [key], [self, replacing, LeaseMs]))!;

    private static bool IsGone(string holder)
    {
        if (holder.Split('/') is not [var host, var pid, _] || host != Environment.MachineName || !int.TryParse(pid, out var id))
            return false;
        try
        {
            using var process = Process.GetProcessById(id);
            return process.HasExited;
        }
        catch (ArgumentException)
        {
            return true;
        }
    }
}

/// <summary>Another Distiller trains this model now.</summary>
public sealed class OwnershipLostException(string message) : Exception(message);
