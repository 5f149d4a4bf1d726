using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Grpc.Core;
using KdServing.Contracts;

namespace KdServing.LoadTests.Traffic;

/// <summary>Sends ranking requests at times fixed in advance and records what becomes of each (open loop).</summary>
/// <remarks>
/// Latency counts from the intended send time: a server that stalls is charged for every request that would have been sent
/// meanwhile (no coordinated omission). One thread prepares requests ahead, one sends them at their time, replies are received on the
/// pool. Use: <c>var traffic = new RankingTraffic(…); var run = traffic.RunAsync(stop); … traffic.Figures()</c>.
/// </remarks>
public sealed partial class RankingTraffic(Ranking.RankingClient client, RankingRequests requests, TrafficOptions options)
{
    // Enough to ride over a garbage collection or a slow read of the log, little enough for live features to be live.
    private const int PreparedMax = 32;

    private readonly TrafficRecord _record = new();
    private readonly BlockingCollection<(double AtSeconds, RankRequest Request)> _prepared = new(PreparedMax);
    private volatile RankRequest? _first;
    private long _startTicks;
    private long _startUnixMs;
    private long _endTicks;

    /// <summary>Event time of the requests being prepared.</summary>
    public long EventTimeMs => requests.EventTimeMs();

    /// <summary>Sees every good reply with its request, on the thread that received it; it must be quick.</summary>
    public Action<RankRequest, RankReply>? Replied { get; init; }

    public TrafficFigures Figures()
    {
        var start = Volatile.Read(ref _startTicks);
        var end = Volatile.Read(ref _endTicks);
        return _record.Figures(start == 0 ? 0 : Stopwatch.GetElapsedTime(start, end == 0 ? Stopwatch.GetTimestamp() : end).TotalSeconds);
    }

    /// <summary>Every request with its times, for windows that are known later.</summary>
    public TrafficRecord Record => _record;

    /// <summary>Sends until the time is over or it is stopped, then waits for the replies under way.</summary>
    /// <param name="stop">Ends the sending; not an error.</param>
    /// <exception cref="KdServing.Datasets.DatasetException">The data of the requests can not be read.</exception>
    public async Task RunAsync(CancellationToken stop)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var preparing = RunThread("traffic-prepare", () => Prepare(ended.Token));
        var sending = RunThread("traffic-send", () => Send(ended.Token));

        // Either one that ends or fails ends the other.
        await Task.WhenAny(preparing, sending);
        if (preparing.IsFaulted || sending.IsCompleted)
            await ended.CancelAsync();
        await Task.WhenAll(preparing, sending);
        Volatile.Write(ref _endTicks, Stopwatch.GetTimestamp());
        while (_record.Figures(0).InFlight > 0)
            await Task.Delay(5, CancellationToken.None);
    }

    private void Prepare(CancellationToken stop)
    {
        var schedule = new ArrivalSchedule(options.RatePerSecond, options.Arrivals, options.Seed);
        try
        {
            for (var at = schedule.NextSeconds(); at < options.Seconds; at = schedule.NextSeconds())
            {
                var request = requests.Next(at);
                _first ??= request;
                _prepared.Add((at, request), stop);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
        }
        finally
        {
            _prepared.CompleteAdding();
        }
    }

    private void Send(CancellationToken stop)
    {
        // The clock starts when there is something to send, not while the log's history is read.
        while (_prepared.Count == 0 && !_prepared.IsCompleted && !stop.IsCancellationRequested)
            Thread.Sleep(1);
        WarmUp(stop);
        Volatile.Write(ref _startUnixMs, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
        Volatile.Write(ref _startTicks, Stopwatch.GetTimestamp());
        try
        {
            foreach (var (atSeconds, request) in _prepared.GetConsumingEnumerable(stop))
            {
                SleepUntil(atSeconds, stop);
                stop.ThrowIfCancellationRequested();
                if (!_record.TryBegin(options.InFlightMax))
                    continue;
                _record.Sent(ElapsedUs(atSeconds));
                _ = ReceiveAsync(atSeconds, request);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
        }
    }

    private void WarmUp(CancellationToken stop)
    {
        try
        {
            for (var n = 0; _first is not null && n < options.WarmUpRequests && !stop.IsCancellationRequested; n++)
            {
                var request = _first.Clone();
                request.RequestId = $"warm-up-{n}";
                client.Rank(request, deadline: DateTime.UtcNow.AddMilliseconds(options.DeadlineMs), cancellationToken: stop);
            }
        }
        catch (RpcException)
        {
            // Whatever is wrong will show in the requests that count.
        }
    }

    private async Task ReceiveAsync(double atSeconds, RankRequest request)
    {
        var versionSeen = _record.VersionSeen;
        try
        {
            var intended = DateTimeOffset.FromUnixTimeMilliseconds(_startUnixMs).UtcDateTime.AddSeconds(atSeconds);
            using var call = client.RankAsync(request, deadline: intended.AddMilliseconds(options.DeadlineMs));
            var reply = await call.ResponseAsync.ConfigureAwait(false);
            var latencyUs = ElapsedUs(atSeconds);
            if (ReplyCheck.Problem(request, reply, versionSeen, options.AllowRollback) is { } problem)
            {
                _record.Failed(problem);
                return;
            }

            Replied?.Invoke(request, reply);
            _record.Served(new(_startUnixMs + (long)(atSeconds * 1000), (int)Math.Min(int.MaxValue, latencyUs), reply.Version), reply.WatermarkMs);
        }
        catch (RpcException e)
        {
            _record.Failed(e.StatusCode.ToString(), e.Status.Detail);
        }
        catch (Exception e)
        {
            // Whatever else goes wrong with one request is that request's error: the run's account must stay complete.
            _record.Failed(e.GetType().Name);
        }
    }

    private long ElapsedUs(double sinceSeconds) =>
        (long)((Stopwatch.GetElapsedTime(_startTicks).TotalSeconds - sinceSeconds) * 1e6);

    // Thread.Sleep wakes up to a millisecond late; spinning would take a core from the server under test.
    private void SleepUntil(double atSeconds, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var us = -ElapsedUs(atSeconds);
            if (us < 50)
                return;
            SleepMicroseconds((uint)Math.Min(us - 40, 50_000));
        }
    }

    private static Task RunThread(string name, Action work)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                work();
                done.SetResult();
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        })
        { Name = name, IsBackground = true };
        thread.Start();
        return done.Task;
    }

    [LibraryImport("libc", EntryPoint = "usleep")]
    private static partial int SleepMicroseconds(uint us);
}
