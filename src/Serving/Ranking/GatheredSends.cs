namespace KdServing.Serving.Ranking;

/// <summary>While so many wait that others are refused, what connections have to send goes out together, every <see cref="Interval"/>. Any thread. Figures: ADR 30.</summary>
/// <remarks>
/// A reply, or a few refusals, that are sent by themselves cost a call of the kernel and wake their client, on shared cores in the midst of what is scored: at five
/// times the peak a tenth of what could be answered. Beside the time that all wait in line nobody misses two milliseconds.
/// Whoever is about to score sends what is due: it has a core, and keeps it. A timer does when nobody scores for a while.
/// </remarks>
/// <param name="time">Null: the system's.</param>
public sealed class GatheredSends(AdmissionGate gate, TimeProvider? time = null) : IDisposable
{
    internal static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(2);
    internal static readonly TimeSpan TimerInterval = TimeSpan.FromMilliseconds(5);

    private readonly TimeProvider time = time ?? TimeProvider.System;
    private readonly Lock sync = new();
    // Turned over: one is filled while the other is sent.
    private List<Action> held = [];
    private List<Action>? spare = [];
    private ITimer? timer;
    private int count;
    private long lastSend;

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
            {
                timer ??= time.CreateTimer(_ => Send(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
                timer.Change(TimerInterval, Timeout.InfiniteTimeSpan);
            }
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
