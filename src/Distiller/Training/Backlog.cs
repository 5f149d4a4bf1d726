using KdServing.Contracts;

namespace KdServing.Distiller.Training;

/// <summary>How far the loop lags behind the stream's writers, asked of Redis once a second beside the training.</summary>
public sealed class Backlog(LogitStreamReader reader)
{
    private Task<long>? asking;
    private long askedAtMs;
    private long waitingLessAdded;
    private long added;

    /// <summary>Entries written by the last answer and not examined yet.</summary>
    public long Records { get; private set; }

    public long RecordsMax { get; private set; }

    /// <summary>Frees what is durable and counts what waits. Call once, before the first read.</summary>
    public async Task StartAsync(StreamId durable)
    {
        (var waiting, added) = await reader.BacklogAsync(durable);
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
            asking = reader.AddedAsync();
        }
    }

    private void Note(long records)
    {
        Records = Math.Max(0, records);
        RecordsMax = Math.Max(RecordsMax, Records);
    }
}
