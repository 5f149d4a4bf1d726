using System.Collections.Concurrent;
using System.Diagnostics;
using KdServing.Serving.Ranking;
using KdServing.Serving.Transport;

namespace KdServing.Serving.Tests.Transport;

public sealed class RankingThreadsTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task What_is_queued_is_done_in_order()
    {
        using var threads = new RankingThreads(count: 1);
        var done = new ConcurrentQueue<int>();
        var last = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        for (var i = 0; i < 1000; i++)
        {
            var number = i;
            threads.Queue(new Work(() =>
            {
                done.Enqueue(number);
                if (number == 999)
                    last.SetResult();
            }));
        }
        await last.Task.WaitAsync(Patience);
        Assert.Equal(Enumerable.Range(0, 1000), done);
    }

    // Each waits for the other: on one thread they would wait for ever.
    [Fact]
    public async Task Two_pieces_of_work_run_at_a_time()
    {
        using var threads = new RankingThreads(count: 2);
        for (var round = 0; round < 200; round++)
        {
            using var both = new Barrier(3);
            threads.Queue(new Work(() => both.SignalAndWait(Patience)));
            threads.Queue(new Work(() => both.SignalAndWait(Patience)));
            Assert.True(await Task.Run(() => both.SignalAndWait(Patience)));
        }
    }

    // Nobody from outside wakes the second thread.
    [Fact]
    public async Task What_one_of_them_queues_another_does_when_the_first_goes_on()
    {
        using var threads = new RankingThreads(count: 2);
        for (var round = 0; round < 200; round++)
        {
            var met = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            using var both = new Barrier(2);
            threads.Queue(new Work(() =>
            {
                threads.Queue(new Work(() => met.SetResult(both.SignalAndWait(Patience))));
                threads.Queue(new Work(() => both.SignalAndWait(Patience)));
            }));
            Assert.True(await met.Task.WaitAsync(Patience));
        }
    }

    [Fact]
    public async Task While_all_of_them_hang_the_pool_does_their_work()
    {
        using var threads = new RankingThreads(count: 2);
        using var release = new ManualResetEventSlim();
        for (var i = 0; i < 2; i++)
            threads.Queue(new Work(() => Assert.True(release.Wait(Patience))));
        await Eventually.HoldsAsync(() => threads.Idle == 0, "both hang");
        // Again and again, also when the pool's thread hangs in its turn.
        for (var round = 0; round < 3; round++)
        {
            var byPool = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            threads.Queue(new Work(() =>
            {
                byPool.SetResult(Thread.CurrentThread.IsThreadPoolThread);
                Assert.True(release.Wait(Patience));
            }));
            Assert.True(await byPool.Task.WaitAsync(Patience));
        }
        release.Set();
        await Eventually.HoldsAsync(() => threads.Idle == 2, "they wait for work again");
    }

    // Who has accepted a connection reads its first bytes, and must not rank.
    [Fact]
    public async Task A_call_that_nobody_of_them_has_read_is_queued()
    {
        using var threads = new RankingThreads(count: 1);
        using var release = new ManualResetEventSlim();
        threads.Queue(new Work(() => Assert.True(release.Wait(Patience))));
        await Eventually.HoldsAsync(() => threads.Idle == 0, "it is busy");
        threads.Queue(new Work(() => Assert.True(release.Wait(Patience))));
        var begun = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        var (own, isBeginning) = (Environment.CurrentManagedThreadId, true);
        threads.Begin(new Work(() => begun.SetResult(Volatile.Read(ref isBeginning) && Environment.CurrentManagedThreadId == own)));
        Volatile.Write(ref isBeginning, false);
        release.Set();
        Assert.False(await begun.Task.WaitAsync(Patience));
    }

    // They have waited long for something to do: that is not long since anybody looked.
    [Fact]
    public async Task Nobody_helps_them_when_they_have_just_begun()
    {
        using var threads = new RankingThreads(count: 1);
        var late = 0;
        for (var round = 0; round < 20; round++)
        {
            await Eventually.HoldsAsync(() => threads.Idle == 1, "it waits");
            Assert.True(SpinWait.SpinUntil(() => threads.SinceLook > 2 * WatchRhythm.Patience, Patience));
            var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            threads.Queue(new Work(() =>
            {
                if (threads.SinceLook > WatchRhythm.Patience)
                    late++;
                done.SetResult();
            }));
            await done.Task.WaitAsync(Patience);
        }
        // A thread that is kept from its core may be late once; not always.
        Assert.InRange(late, 0, 10);
    }

    [Fact]
    public async Task Once_they_have_ended_work_is_the_pools()
    {
        var threads = new RankingThreads(count: 2);
        threads.Dispose();
        var byPool = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        threads.Queue(new Work(() => byPool.SetResult(Thread.CurrentThread.IsThreadPoolThread)));
        Assert.True(await byPool.Task.WaitAsync(Patience));
    }

    [Fact]
    public async Task Whose_turn_it_is_goes_on_on_one_of_them()
    {
        using var threads = new RankingThreads(count: 1);
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 1000) { Threads = threads };
        var names = new List<string?>();
        for (var round = 0; round < 50; round++)
        {
            Assert.True(gate.EnterAsync().IsCompleted);
            var both = Task.WhenAll(NameAsync(), NameAsync());
            Assert.Equal(2, gate.Waiting);
            gate.Leave(Stopwatch.GetTimestamp());
            names.AddRange(await both.WaitAsync(Patience));
            Assert.Equal((0, 0), (gate.Running, gate.Waiting));
        }
        // Where the thread is kept from its core for long, the pool does now and then what it should have done.
        Assert.Contains(RankingThreads.Name, names);

        async Task<string?> NameAsync()
        {
            await gate.EnterAsync().ConfigureAwait(false);
            var name = Thread.CurrentThread.Name;
            gate.Leave(Stopwatch.GetTimestamp());
            return name;
        }
    }

    private sealed class Work(Action action) : IThreadPoolWorkItem
    {
        public void Execute() => action();
    }
}
