using KdServing.Contracts;

namespace KdServing.Distiller.Training;

/// <summary>How far the loop lags behind the streams' writers, asked of Redis once a second beside the training.</summary>
public sealed class Backlog(IReadOnlyList<LogitStreamReader> readers)
{
    private Task<long>? asking;
    private long askedAtMs;
    private long waitingLessAdded;
    private long added;

    /// <summary>Entries written by the last answer and not examined yet.</summary>
    public long Records { get; private set; }

    public long RecordsMax { get; private set; }

    /// <summary>Counts what waits. Call once, before the first read.</summary>
    /// <param name="examined">Stream → entries of it worked through since it began.</param>
    public async Task StartAsync(Func<string, long> examined)
    {
        var (waiting, sum) = (0L, 0L);
        foreach (var reader in readers)
        {
            var (held, ever) = await reader.CountsAsync();
            // What was worked through and not yet trimmed is still held; a stream that was deleted began anew.
            waiting += Math.Min(held, ever >= examined(reader.StreamKey) ? ever - examined(reader.StreamKey) : held);
            sum += ever;
        }
        added = sum;
        waitingLessAdded = waiting - added;
        Note(waiting);
    }

    /// <param name="examined">Entries examined since <see cref="StartAsync"/>.</param>
    public void Update(long examined)
    {
        if (asking is { IsCompleted: true })
        {
            // Redis away: the last answer stands.
            if (asking.IsCompletedSuccessfully)
                added = asking.Result;
            asking = null;
        }
        Note(waitingLessAdded + added - examined);
        if (asking is null && Environment.TickCount64 - askedAtMs >= 1000)
        {
            askedAtMs = Environment.TickCount64;
            asking = AddedAsync();
        }
    }

    private async Task<long> AddedAsync()
    {
        var sum = 0L;
        foreach (var reader in readers)
            sum += await reader.AddedAsync();
        return sum;
    }

    private void Note(long records)
    {
        Records = Math.Max(0, records);
        RecordsMax = Math.Max(RecordsMax, Records);
    }
}
