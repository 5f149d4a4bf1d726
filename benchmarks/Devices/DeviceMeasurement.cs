using System.Buffers;
using System.Diagnostics;
using Google.Protobuf;
using KdServing.Serving.Wire;

namespace KdServing.Benchmarks.Devices;

/// <summary>One way at one size of request: latency of a lone caller, throughput of many.</summary>
internal sealed class DeviceMeasurement
{
    private const int TopK = 100;
    private const int DistinctRequests = 64;

    private readonly DeviceWay way;
    private readonly int candidates;
    private readonly bool byId;
    private readonly int callers;
    private readonly byte[][] requests;
    private readonly List<double> p50 = [];
    private readonly List<double> p99 = [];
    private readonly List<double> rate = [];

    public DeviceMeasurement(DeviceWay way, ReferenceStudent student, int candidates, bool byId, int callers)
    {
        this.way = way;
        this.byId = byId;
        this.candidates = candidates;
        this.callers = callers;
        // Different rows each: one request again and again would find its rows in a cache.
        requests = [.. Enumerable.Range(1, DistinctRequests).Select(seed =>
        {
            var request = student.Request(candidates, raw: true, seed);
            return byId ? way.ById(request, seed) : request.ToByteArray();
        })];
    }

    public void Round(TimeSpan time)
    {
        Score(TimeSpan.FromTicks(time.Ticks / 5), 0, latencies: null);
        var latencies = new List<double>();
        Score(time, 0, latencies);
        latencies.Sort();
        p50.Add(Quantile(latencies, 0.5));
        p99.Add(Quantile(latencies, 0.99));
        var started = Stopwatch.GetTimestamp();
        var scored = 0L;
        var threads = Enumerable.Range(0, callers).Select(c => new Thread(() => Interlocked.Add(ref scored, Score(time, c, latencies: null)))).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        rate.Add(scored / Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    /// <param name="reference">The way whose scores are the right ones.</param>
    public DeviceRow Row(DeviceMeasurement reference)
    {
        var difference = 0.0;
        foreach (var request in requests)
        {
            var (mine, right) = (Logits(request), reference.Logits(request));
            for (var i = 0; i < right.Length; i++)
                difference = Math.Max(difference, Math.Abs(mine[i] - right[i]) / Math.Max(1, Math.Abs(right[i])));
        }
        return new(way.Name, byId ? "ids" : "features", candidates, Median.Of(p50), Median.Of(p99), Median.Of(rate), callers, difference, way.FirstLoadMs, way.FillMs, way.DeviceBytes / 1e6);
    }

    public static double Quantile(List<double> sorted, double q) => sorted.Count == 0 ? double.NaN : sorted[Math.Min(sorted.Count - 1, (int)(q * sorted.Count))];

    private float[] Logits(byte[] request)
    {
        var run = way.Servable.Rent();
        way.Score(RankCall.Read(new ReadOnlySequence<byte>(request)), run);
        var logits = run.Logits.ToArray();
        way.Servable.Return(run);
        return logits;
    }

    private long Score(TimeSpan time, int first, List<double>? latencies)
    {
        var top = new int[Math.Min(TopK, candidates)];
        var begun = Stopwatch.GetTimestamp();
        var scored = 0L;
        for (var r = first; Stopwatch.GetElapsedTime(begun) < time; r++, scored++)
        {
            var started = Stopwatch.GetTimestamp();
            var call = RankCall.Read(new ReadOnlySequence<byte>(requests[r % requests.Length]));
            var run = way.Servable.Rent();
            way.Score(call, run);
            Serving.Ranking.TopK.Select(run.Logits, top);
            way.Servable.Return(run);
            call.Return();
            latencies?.Add(Stopwatch.GetElapsedTime(started).TotalMicroseconds);
        }
        return scored;
    }
}
