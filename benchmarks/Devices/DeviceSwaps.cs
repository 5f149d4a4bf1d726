using System.Buffers;
using System.Diagnostics;
using Google.Protobuf;
using KdServing.Serving.Models;
using KdServing.Serving.Wire;

namespace KdServing.Benchmarks.Devices;

/// <summary>Requests go on while versions are loaded beside them and swapped in: every answer is checked.</summary>
/// <remarks>The versions differ in files and memory, not in values, so that a score that is not the expected one shows torn memory.</remarks>
internal static class DeviceSwaps
{
    private const int RowsChanged = 1000;

    public static DeviceSwapRow Run(DeviceWay way, ReferenceStudent student, int candidates, int callers, int swaps, CancellationToken stop)
    {
        var request = student.Request(candidates, raw: true, seed: 7).ToByteArray();
        var slot = new ServableSlot();
        slot.Swap(way.Servable);
        var expected = Logits(slot, request);
        var (isLoading, isOver) = (false, false);
        var (failed, wrong) = (0, 0);
        var (during, between) = (new List<double>(), new List<double>());
        var threads = Enumerable.Range(0, callers).Select(_ => new Thread(Ask)).ToList();
        threads.ForEach(t => t.Start());
        var loads = new List<double>();
        for (var swap = 0; swap < swaps && !stop.IsCancellationRequested; swap++)
        {
            student.PublishDelta(RowsChanged);
            Thread.Sleep(20);
            Volatile.Write(ref isLoading, true);
            var started = Stopwatch.GetTimestamp();
            var next = way.Loader.Load(ReferenceStudent.Model, student.Newest, way.Servable);
            loads.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
            var old = way.Servable;
            slot.Swap(next);
            way.Servable = next;
            old.RetireAsync().GetAwaiter().GetResult();
            old.Dispose();
            Volatile.Write(ref isLoading, false);
        }
        Volatile.Write(ref isOver, true);
        threads.ForEach(t => t.Join());
        during.Sort();
        between.Sort();
        loads.Sort();
        return new(way.Name, candidates, callers, swaps, during.Count + between.Count, failed, wrong, DeviceMeasurement.Quantile(loads, 0.5), loads[0], loads[^1],
            DeviceMeasurement.Quantile(during, 0.99), DeviceMeasurement.Quantile(between, 0.99), way.DeviceBytes / 1e6);

        void Ask()
        {
            var (inLoad, outside) = (new List<double>(), new List<double>());
            while (!Volatile.Read(ref isOver))
            {
                var loading = Volatile.Read(ref isLoading);
                var started = Stopwatch.GetTimestamp();
                try
                {
                    if (!Close(expected, Logits(slot, request)))
                        Interlocked.Increment(ref wrong);
                }
                catch (Exception e)
                {
                    if (Interlocked.Increment(ref failed) == 1)
                        Console.Error.WriteLine(e);
                }
                (loading || Volatile.Read(ref isLoading) ? inLoad : outside).Add(Stopwatch.GetElapsedTime(started).TotalMicroseconds);
            }
            lock (during)
            {
                during.AddRange(inLoad);
                between.AddRange(outside);
            }
        }
    }

    private static float[] Logits(ServableSlot slot, byte[] request)
    {
        var call = RankCall.Read(new ReadOnlySequence<byte>(request));
        if (!slot.TryAcquire(call.Header, out var lease))
            throw new InvalidOperationException("no version is in service");
        using (lease)
        {
            var run = lease.Servable.Rent();
            try
            {
                lease.Servable.Score(call, run, CallBudget.Unlimited);
                return run.Logits.ToArray();
            }
            finally
            {
                lease.Servable.Return(run);
                call.Return();
            }
        }
    }

    private static bool Close(float[] expected, float[] actual)
    {
        for (var i = 0; i < expected.Length; i++)
        {
            if (!(MathF.Abs(expected[i] - actual[i]) <= 1e-5f * MathF.Max(1, MathF.Abs(expected[i]))))
                return false;
        }
        return true;
    }
}
