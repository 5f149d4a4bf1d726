using System.Diagnostics;
using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Distiller.Training;

/// <summary>The stream as the loop sees it: consecutive entries, cut into batches; waits while Redis is away.</summary>
/// <remarks>
/// A batch is the next <c>count</c> entries, however they arrive; only when nothing has come for a while is it cut short. The
/// next read runs beside the training of the batch before. One caller.
/// </remarks>
public sealed class LogitStream(LogitStreamReader reader, string endpoint)
{
    // About half a megabyte of records of 50 candidates: enough to hide the round trip.
    private const int ReadCount = 256;
    private static readonly TimeSpan PollDelay = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(500);

    private readonly Queue<LogitStreamEntry> ready = new();
    private Task<IReadOnlyList<LogitStreamEntry>>? reading;
    private long? emptySince;

    /// <summary>Entries after this one are read; set before the first call.</summary>
    public StreamId Position { get; set; }

    /// <summary>Redis did not answer the last call.</summary>
    public bool IsAway { get; private set; }

    /// <summary>For how long Redis has had nothing new and nothing is left to hand out.</summary>
    public TimeSpan Idle => ready.Count == 0 ? Silence : TimeSpan.Zero;

    // Counted from the first read that came back empty: time spent training is not silence.
    private TimeSpan Silence => emptySince is { } since ? Stopwatch.GetElapsedTime(since) : TimeSpan.Zero;

    /// <summary>
    /// The next <paramref name="count"/> entries; fewer when none has arrived for <paramref name="idle"/>; none when there is
    /// nothing to hand out yet, after a short wait, so that the caller can see to other things.
    /// </summary>
    public async Task<IReadOnlyList<LogitStreamEntry>> NextAsync(int count, TimeSpan idle, CancellationToken stop)
    {
        while (ready.Count < count && await ReadAsync(stop))
        {
            // Read on: the stream holds more.
        }
        if (ready.Count == 0 || (ready.Count < count && Silence < idle))
        {
            await Task.Delay(IsAway ? RetryDelay : PollDelay, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return [];
        }
        var batch = new LogitStreamEntry[Math.Min(count, ready.Count)];
        for (var i = 0; i < batch.Length; i++)
            batch[i] = ready.Dequeue();
        // Parse what follows while this batch is learned.
        if (ready.Count < ReadCount)
            reading ??= Task.Run(() => reader.ReadAsync(Position, ReadCount), stop);
        return batch;
    }

    /// <summary>Calls Redis until it answers; the caller's position must not move before.</summary>
    public async Task InsistAsync(Func<Task> call, CancellationToken stop)
    {
        while (true)
        {
            stop.ThrowIfCancellationRequested();
            try
            {
                await call();
                IsAway = false;
                return;
            }
            catch (Exception e) when (LogitStreamWriter.IsTransient(e))
            {
                Away(e);
                await Task.Delay(RetryDelay, stop);
            }
        }
    }

    /// <summary>Says, at intervals, that Redis is missed.</summary>
    public void Away(Exception e)
    {
        IsAway = true;
        DistillerLog.WarnSometimes("redis", $"waiting for Redis at {endpoint} ({Reason(e)}); start it or pass --redis");
    }

    private async Task<bool> ReadAsync(CancellationToken stop)
    {
        try
        {
            var entries = await (reading ?? Task.Run(() => reader.ReadAsync(Position, ReadCount), stop));
            IsAway = false;
            foreach (var entry in entries)
                ready.Enqueue(entry);
            if (entries.Count == 0)
            {
                emptySince ??= Stopwatch.GetTimestamp();
                return false;
            }
            Position = entries[^1].Id;
            emptySince = null;
            return true;
        }
        catch (Exception e) when (LogitStreamWriter.IsTransient(e))
        {
            Away(e);
            return false;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return false;
        }
        finally
        {
            reading = null;
        }
    }

    private static string Reason(Exception e) => e switch
    {
        RedisServerException server => server.Message,
        TimeoutException => "no answer in time",
        _ => "no connection",
    };
}
