using System.Diagnostics;
using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Distiller.Training;

/// <summary>An entry and the stream it came from.</summary>
/// <param name="Source">Index among <see cref="LogitStream.Sources"/>.</param>
public readonly record struct SourcedEntry(int Source, LogitStreamEntry Entry);

/// <summary>The model's streams as the loop sees them: one sequence of entries, cut into batches; waits while Redis is away.</summary>
/// <remarks>
/// Shards (and the stream of labels) are merged by the ids of their entries, equal ids by the order of the streams. A batch is the next
/// <c>count</c> entries, however they arrive; only when nothing has come for a while is it cut short. What was cut is journaled, so
/// the merge need not be repeatable to the millisecond; on streams that are full it is. The next read runs beside the training of
/// the batch before. One caller.
/// </remarks>
public sealed class LogitStream(IReadOnlyList<LogitStreamReader> sources, string endpoint)
{
    // About half a megabyte of records of 50 candidates: enough to hide the round trip.
    private const int ReadCount = 256;
    private static readonly TimeSpan PollDelay = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(500);

    private readonly Queue<LogitStreamEntry>[] ready = [.. sources.Select(_ => new Queue<LogitStreamEntry>())];
    private readonly StreamId[] positions = new StreamId[sources.Count];
    private readonly bool[] exhausted = new bool[sources.Count];
    private Task<IReadOnlyList<LogitStreamEntry>?[]>? reading;
    private long? emptySince;

    /// <summary>The streams, in the order that <see cref="SourcedEntry.Source"/> counts.</summary>
    public IReadOnlyList<LogitStreamReader> Sources => sources;

    /// <summary>Redis did not answer the last call.</summary>
    public bool IsAway { get; private set; }

    /// <summary>For how long Redis has had nothing new and nothing is left to hand out.</summary>
    public TimeSpan Idle => Ready == 0 ? Silence : TimeSpan.Zero;

    private int Ready => ready.Sum(q => q.Count);

    // Counted from the first read that came back empty: time spent training is not silence.
    private TimeSpan Silence => emptySince is { } since ? Stopwatch.GetElapsedTime(since) : TimeSpan.Zero;

    /// <summary>Entries after these are read; call before the first <see cref="NextAsync"/>.</summary>
    public void StartAfter(Func<string, StreamId> position)
    {
        for (var s = 0; s < sources.Count; s++)
            positions[s] = position(sources[s].StreamKey);
    }

    /// <summary>
    /// The next <paramref name="count"/> entries; fewer when none has arrived for <paramref name="idle"/>; none when there is
    /// nothing to hand out yet, after a short wait, so that the caller can see to other things.
    /// </summary>
    public async Task<IReadOnlyList<SourcedEntry>> NextAsync(int count, TimeSpan idle, CancellationToken stop)
    {
        while (MustRead(count) && await ReadAsync(count, stop))
        {
            // Read on: the streams hold more.
        }
        var waiting = Ready;
        if (waiting == 0 || (waiting < count && Silence < idle) || IsAway)
        {
            await Task.Delay(IsAway ? RetryDelay : PollDelay, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return [];
        }
        var batch = new SourcedEntry[Math.Min(count, waiting)];
        for (var i = 0; i < batch.Length; i++)
        {
            var first = First();
            batch[i] = new(first, ready[first].Dequeue());
        }
        // Parse what follows while this batch is learned.
        reading ??= Task.Run(() => ReadSourcesAsync(count), stop);
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

    // A batch is cut only when no stream can still hold an entry that belongs before its last one.
    private bool MustRead(int count)
    {
        if (reading is { IsCompleted: true } || Ready < count)
            return true;
        for (var s = 0; s < sources.Count; s++)
        {
            if (ready[s].Count < count && !exhausted[s])
                return true;
        }
        return false;
    }

    private int First()
    {
        var first = -1;
        for (var s = 0; s < sources.Count; s++)
        {
            if (ready[s].TryPeek(out var head) && (first < 0 || head.Id < ready[first].Peek().Id))
                first = s;
        }
        return first;
    }

    private async Task<bool> ReadAsync(int count, CancellationToken stop)
    {
        try
        {
            var pages = await (reading ?? Task.Run(() => ReadSourcesAsync(count), stop));
            IsAway = false;
            var any = false;
            for (var s = 0; s < pages.Length; s++)
            {
                if (pages[s] is not { } entries)
                    continue;
                exhausted[s] = entries.Count < ReadCount;
                foreach (var entry in entries)
                    ready[s].Enqueue(entry);
                if (entries.Count == 0)
                    continue;
                positions[s] = entries[^1].Id;
                any = true;
            }
            emptySince = any ? null : emptySince ?? Stopwatch.GetTimestamp();
            return any;
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

    // Null where enough is at hand.
    private async Task<IReadOnlyList<LogitStreamEntry>?[]> ReadSourcesAsync(int count)
    {
        var enough = Math.Max(count, ReadCount);
        var pages = new Task<IReadOnlyList<LogitStreamEntry>>?[sources.Count];
        for (var s = 0; s < sources.Count; s++)
            pages[s] = ready[s].Count >= enough ? null : sources[s].ReadAsync(positions[s], ReadCount);
        var read = new IReadOnlyList<LogitStreamEntry>?[sources.Count];
        for (var s = 0; s < sources.Count; s++)
            read[s] = pages[s] is { } page ? await page : null;
        return read;
    }

    private static string Reason(Exception e) => e switch
    {
        RedisServerException server => server.Message,
        TimeoutException => "no answer in time",
        _ => "no connection",
    };
}
