namespace KdServing.Serving.Ranking;

/// <summary>While so many wait that others are refused, what connections have to send goes out together, every <see cref="Interval"/>. Any thread. Figures: ADR 30.</summary>
/// <remarks>
/// A reply, or a few refusals, that are sent by themselves cost a call of the kernel and wake their client, on shared cores in the midst of what is scored: at five
/// times the peak a tenth of what could be answered. Beside the time that all wait in line nobody misses two milliseconds.
/// Whoever is about to score sends what is due: it has a core, and keeps it. A timer does when nobody scores for a while; it looks the more rarely the longer it
/// was not needed, because each time a thread of the pool takes a core from one who scores.
/// </remarks>
/// <param name="time">Null: the system's.</param>
public sealed class GatheredSends(AdmissionGate gate, TimeProvider? time = null) : IDisposable
{
    internal static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(2);

    /// <summary>Of the timer, at first and whenever it was needed.</summary>
    internal static readonly TimeSpan ShortestLook = TimeSpan.FromMilliseconds(5);

    internal static readonly TimeSpan LongestLook = TimeSpan.FromMilliseconds(20);

    private readonly TimeProvider time = time ?? TimeProvider.System;
    private readonly Lock sync = new();
    // Turned over: one is filled while the other is sent.
    private List<Action> held = [];
    private List<Action>? spare = [];
    private ITimer? timer;
    private TimeSpan look;
    private bool isWatched;
    private int count;
    private long lastSend;
    private long heldSince;

    public void Dispose() => timer?.Dispose();

    /// <summary>Holds what somebody has to send, unless it is to be sent at once.</summary>
    /// <param name="send">Called later, once, on any thread; throws nothing.</param>
    internal bool TryHold(Action send)
    {
        if (!gate.Line.IsCrowded)
            return false;
        lock (sync)
        {
            held.Add(send);
            count = held.Count;
            if (count == 1)
                heldSince = time.GetTimestamp();
            if (!isWatched)
                LookAgain(ShortestLook);
        }
        return true;
    }

    /// <summary>Sends what is held, if it is time. Not under a lock that sending takes.</summary>
    /// <param name="isCrowded">The line still is: what is held may wait its time.</param>
    internal void SendDue(bool isCrowded)
    {
        if (Volatile.Read(ref count) > 0 && (!isCrowded || time.GetElapsedTime(Volatile.Read(ref lastSend)) >= Interval))
            Send();
    }

    // The timer's.
    private void Look()
    {
        bool isLate;
        lock (sync)
        {
            isWatched = false;
            if (count == 0)
                return;
            isLate = time.GetElapsedTime(heldSince) >= ShortestLook;
            LookAgain(isLate ? ShortestLook : TimeSpan.FromTicks(Math.Min(2 * look.Ticks, LongestLook.Ticks)));
        }
        if (isLate)
            Send();
    }

    private void LookAgain(TimeSpan after)
    {
        (look, isWatched) = (after, true);
        timer ??= time.CreateTimer(_ => Look(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        timer.Change(after, Timeout.InfiniteTimeSpan);
    }

    private void Send()
    {
        List<Action> sending;
        lock (sync)
        {
            if (count == 0)
                return;
            (sending, held, spare, count) = (held, spare ?? [], null, 0);
            lastSend = time.GetTimestamp();
        }
        foreach (var send in sending)
            send();
        sending.Clear();
        lock (sync)
            spare = sending;
    }
}
