using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace KdServing.Serving.Transport;

/// <summary>The threads that ranking requests live on. Each waits for sockets, reads what has come, ranks, and sends: no other thread has to be woken on the way.</summary>
/// <remarks>
/// As many as can run at a time. With more, the one that is woken to read waits for a core on which another one ranks, while the next core falls idle; with as
/// many, sockets are looked at by whoever is between two requests. While all of them rank for long, or hang, the thread pool does their work
/// (<see cref="ThreadWatch"/>). Figures: ADR 31.
/// </remarks>
internal sealed class RankingThreads : IDisposable, IThreadPoolWorkItem
{
    /// <summary>Of each, as the system shows it.</summary>
    internal const string Name = "kd-rank";

    // Between two pieces of work. A flood of bytes must not keep those who are in line from being ranked.
    private const int MaxLooks = 32;

    // While some wait to be ranked anyway, what comes in the meantime is read together.
    private static readonly TimeSpan LookPause = TimeSpan.FromMicroseconds(200);

    [ThreadStatic]
    private static RankingThreads? own;
    [ThreadStatic]
    private static bool isReading;

    private readonly Epoll epoll = new();
    private readonly ConcurrentDictionary<long, PolledConnection> connections = new();
    private readonly ConcurrentQueue<IThreadPoolWorkItem> work = new();
    private readonly ThreadWatch watch;
    private int pending;
    private int idle;
    private long lastId = Epoll.Woken;
    private long lastLook;
    private volatile bool isStopped;

    /// <param name="count">At least as many as requests are ranked at a time.</param>
    public RankingThreads(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        watch = new(this);
        for (var i = 0; i < count; i++)
            new Thread(Run) { Name = Name, IsBackground = true }.Start();
    }

    /// <summary>Threads that wait for something to do.</summary>
    internal int Idle => Volatile.Read(ref idle);

    /// <summary>Those whose socket is not closed.</summary>
    internal int Connections => connections.Count;

    /// <summary>Since one of them has looked what there is.</summary>
    internal TimeSpan SinceLook => Stopwatch.GetElapsedTime(Volatile.Read(ref lastLook));

    /// <summary>This thread looks at sockets: what takes long is to be queued.</summary>
    public bool AreReading => isReading;

    /// <summary>For a call that has been read: it goes on when the rest is read; when something else will go on first, it goes on now, as far as the gate.</summary>
    public void Begin(IThreadPoolWorkItem call)
    {
        // A connection's first bytes may be read by the thread that has accepted it, which would rank at once.
        if (!isReading || Volatile.Read(ref pending) == 0)
            Queue(call);
        else
            call.Execute();
    }

    /// <summary>Has a piece of work done on one of them, in the order of asking: by the one that asks, as soon as it can, unless another one is idle.</summary>
    public T Queue<T>(T item)
        where T : class, IThreadPoolWorkItem
    {
        if (isStopped)
        {
            ThreadPool.UnsafeQueueUserWorkItem(item, preferLocal: false);
            return item;
        }
        work.Enqueue(item);
        var count = Interlocked.Increment(ref pending);
        if (own != this || count > 1)
            WakeOne();
        return item;
    }

    /// <summary>Sockets are not looked at any more; what is queued from then on is the thread pool's. Waits for nobody.</summary>
    public void Dispose()
    {
        isStopped = true;
        watch.Stop();
        epoll.Wake();
    }

    /// <summary>What a thread of the pool does for them.</summary>
    void IThreadPoolWorkItem.Execute()
    {
        Look(mayBlock: false);
        while (TryTake(out var item))
            item.Execute();
    }

    /// <summary>Tells a connection from now on what its socket is ready for, each thing once.</summary>
    /// <returns>The connection's number.</returns>
    /// <exception cref="System.ComponentModel.Win32Exception">The kernel has no room for it.</exception>
    internal long Register(PolledConnection connection, int socket, uint events)
    {
        var id = Interlocked.Increment(ref lastId);
        connections[id] = connection;
        try
        {
            epoll.Register(socket, id, events);
        }
        catch
        {
            connections.TryRemove(id, out _);
            throw;
        }
        return id;
    }

    /// <inheritdoc cref="Epoll.Ask"/>
    internal void Ask(long connection, int socket, uint events) => epoll.Ask(socket, connection, events);

    /// <summary>Before its socket is closed.</summary>
    internal void Remove(long connection, int socket)
    {
        epoll.Remove(socket);
        connections.TryRemove(connection, out _);
    }

    private void Run()
    {
        own = this;
        while (!isStopped)
        {
            if (Volatile.Read(ref pending) == 0 || SinceLook > LookPause)
                Look(mayBlock: true);
            if (TryTake(out var item))
                item.Execute();
        }
        // One after another.
        epoll.Wake();
    }

    // Blocks only while there is nothing to do.
    private void Look(bool mayBlock)
    {
        for (var left = MaxLooks; left > 0 && TryWait(mayBlock, out var id, out var events) && id != Epoll.Woken; left--)
        {
            isReading = true;
            if (connections.TryGetValue(id, out var connection))
                connection.OnReady(events);
            isReading = false;
        }
    }

    private bool TryWait(bool mayBlock, out long id, out uint events)
    {
        if (!mayBlock || Volatile.Read(ref pending) > 0)
        {
            Volatile.Write(ref lastLook, Stopwatch.GetTimestamp());
            return epoll.TryWait(mayBlock: false, out id, out events);
        }
        Interlocked.Increment(ref idle);
        // Who queues something counts it first and then looks who is idle; here it is the other way round, so that one of both notices.
        var isTold = epoll.TryWait(mayBlock: Volatile.Read(ref pending) == 0 && !isStopped, out id, out events);
        // Before nobody is idle: it is not long since somebody has looked.
        Volatile.Write(ref lastLook, Stopwatch.GetTimestamp());
        if (Interlocked.Decrement(ref idle) == 0)
            watch.AllAreBusy();
        return isTold;
    }

    private bool TryTake([NotNullWhen(true)] out IThreadPoolWorkItem? item)
    {
        if (!work.TryDequeue(out item))
            return false;
        if (Interlocked.Decrement(ref pending) > 0)
            WakeOne();
        return true;
    }

    private void WakeOne()
    {
        if (Volatile.Read(ref idle) > 0)
            epoll.Wake();
    }
}
