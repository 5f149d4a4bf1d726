using System.Diagnostics;
using System.Globalization;
using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Distiller.Training;

/// <summary>At most one Distiller trains a model: a lease in Redis, renewed long before it ends, with a fencing epoch.</summary>
/// <remarks>
/// The lease holds <c>host/pid/token</c>. A predecessor on this host whose process is gone is replaced at once, so that a restart after
/// a crash does not wait; any other holder is waited for until its lease ends. Each change of owner raises the epoch. Whatever an
/// owner does to the model's streams goes through <see cref="FencedAsync"/>, which Redis carries out only for the newest epoch: an
/// owner that slept past its lease can wake up at any instruction and still change nothing.
/// </remarks>
/// <param name="lease">Null: <see cref="DefaultLease"/>.</param>
public sealed class ModelOwner(IDatabase redis, string model, TimeSpan? lease = null)
{
    /// <summary>Longer than a collection, a swapped-out page or a slow disk takes; as long a successor on another machine waits.</summary>
    public static readonly TimeSpan DefaultLease = TimeSpan.FromSeconds(15);

    // With the default: every other second, and a look at another's lease twice a second.
    private const double RenewShare = 2.0 / 15;
    private const double LookShare = 1.0 / 30;
    private const string Fenced = "FENCED";
    private const string NoEpoch = "NOEPOCH";

    // Sets the lease when it is free, ours, or that of the holder named. A lease that ended but that nobody took goes on with its
    // epoch; every other change of holder raises the epoch above all that the caller knows of (Redis may have lost the key).
    // ARGV: self, holder replaced, lease, epoch known, epoch held (0: none).
    private const string Claim = """
        local holder = redis.call('GET', KEYS[1])
        local epoch = redis.call('GET', KEYS[2])
        if holder ~= ARGV[1] or not epoch then
          if holder and holder ~= ARGV[1] and holder ~= ARGV[2] then return {holder, epoch or '0'} end
          if not (epoch and epoch == ARGV[5]) then
            epoch = redis.call('INCR', KEYS[2])
            if epoch <= tonumber(ARGV[4]) then
              epoch = tonumber(ARGV[4]) + 1
              redis.call('SET', KEYS[2], epoch)
            end
          end
        end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
        return {ARGV[1], tostring(epoch)}
        """;

    private const string Give = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

    private const string Fence = $$"""
        local epoch = redis.call('GET', KEYS[1])
        if not epoch then return redis.error_reply('{{NoEpoch}} the epoch is gone') end
        if epoch ~= ARGV[1] then return redis.error_reply('{{Fenced}} by epoch ' .. epoch) end

        """;

    private readonly StreamKeys keys = new(model);
    private readonly string self = $"{Environment.MachineName}/{Environment.ProcessId}/{Guid.NewGuid():N}";
    private readonly long leaseMs = (long)(lease ?? DefaultLease).TotalMilliseconds;
    private Task<string>? renewing;
    private long renewedAtMs;

    /// <summary>The fencing epoch this owner acts under; 0 before <see cref="TakeAsync"/>.</summary>
    public long Epoch { get; private set; }

    /// <summary>Takes the lease; waits, and says for whom, while another holds it.</summary>
    /// <param name="known">The newest epoch found in checkpoints and versions.</param>
    public async Task TakeAsync(LogitStream stream, long known, CancellationToken stop)
    {
        Epoch = Math.Max(Epoch, known);
        var (holder, taken) = ("", 0L);
        while (true)
        {
            await stream.InsistAsync(async () => (holder, taken) = await ClaimAsync(IsGone(holder) ? holder : "", held: 0), stop);
            if (holder == self)
            {
                Epoch = taken;
                renewedAtMs = Environment.TickCount64;
                return;
            }
            if (IsGone(holder))
                continue;
            DistillerLog.WarnSometimes("owner", $"model '{model}' is being trained by {holder}; waiting until it stops");
            await Task.Delay(TimeSpan.FromMilliseconds(leaseMs * LookShare), stop);
        }
    }

    /// <summary>Renews the lease while something runs that takes longer than it lasts.</summary>
    /// <param name="work">Told to stop when the lease is lost.</param>
    /// <exception cref="OwnershipLostException">Another Distiller has taken the model; the work has ended.</exception>
    public async Task KeepAsync(Func<CancellationToken, Task> work, CancellationToken stop)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        // It computes for long between two awaits: not on this thread.
        var working = Task.Run(() => work(end.Token), CancellationToken.None);
        try
        {
            while (await Task.WhenAny(working, Task.Delay(TimeSpan.FromMilliseconds(leaseMs * LookShare), CancellationToken.None)) != working)
                Renew();
        }
        catch (OwnershipLostException)
        {
            await end.CancelAsync();
            await working.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }
        await working;
    }

    /// <summary>Renews the lease when due, beside the training.</summary>
    /// <exception cref="OwnershipLostException">Another Distiller has taken the model.</exception>
    public void Renew()
    {
        if (renewing is { IsCompleted: true })
        {
            // A claim that failed (Redis away) is repeated; the lease may end meanwhile, and then the next claim takes it back or not.
            if (renewing.IsCompletedSuccessfully && renewing.Result != self)
                throw Lost(renewing.Result);
            renewing = null;
        }
        if (renewing is null && Environment.TickCount64 - renewedAtMs >= leaseMs * RenewShare)
        {
            renewedAtMs = Environment.TickCount64;
            renewing = RenewAsync();
        }
    }

    /// <summary>Runs a script on the condition that this owner's epoch is still the newest. The script's own keys and arguments begin at KEYS[2] and ARGV[2].</summary>
    /// <exception cref="OwnershipLostException">Another Distiller has taken the model; nothing was done.</exception>
    /// <exception cref="RedisException">Redis is away, or the script failed; it may or may not have been carried out.</exception>
    public async Task<RedisResult> FencedAsync(string script, IReadOnlyList<RedisKey> more, params IReadOnlyList<RedisValue> arguments)
    {
        while (true)
        {
            try
            {
                return await redis.ExecuteAsync("EVAL",
                    [Fence + script, more.Count + 1, keys.Epoch, .. more.Select(k => (object)k), Text(Epoch), .. arguments.Select(a => (object)a)]);
            }
            catch (RedisServerException e) when (e.Message.Contains(Fenced, StringComparison.Ordinal))
            {
                throw Lost("another Distiller");
            }
            catch (RedisServerException e) when (e.Message.Contains(NoEpoch, StringComparison.Ordinal))
            {
                // Redis came back without its data: the epoch goes on from what we know.
                if (await RenewAsync() is var holder && holder != self)
                    throw Lost(holder);
            }
        }
    }

    /// <summary>Gives the lease back, if Redis is there to take it.</summary>
    public async Task GiveBackAsync()
    {
        try
        {
            await redis.ScriptEvaluateAsync(Give, [keys.Owner], [self]);
        }
        catch (Exception e) when (LogitStreamWriter.IsTransient(e))
        {
            // It ends by itself.
        }
    }

    private async Task<string> RenewAsync()
    {
        var (holder, epoch) = await ClaimAsync("", Epoch);
        if (holder == self)
            Epoch = epoch;
        return holder;
    }

    private async Task<(string Holder, long Epoch)> ClaimAsync(string replacing, long held)
    {
        var reply = (RedisResult[])(await redis.ExecuteAsync("EVAL", Claim, 2, keys.Owner, keys.Epoch, self, replacing, leaseMs, Text(Epoch), Text(held)))!;
        return ((string)reply[0]!, long.Parse((string)reply[1]!, CultureInfo.InvariantCulture));
    }

    private OwnershipLostException Lost(string to) => new($"model '{model}' was taken over by {to}; this Distiller stops, nothing it had not finished takes effect");

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

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
