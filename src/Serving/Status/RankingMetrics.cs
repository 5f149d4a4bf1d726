using System.Diagnostics.Metrics;
using Grpc.Core;

namespace KdServing.Serving.Status;

/// <summary>What requests were answered with, and how fast: as instruments of the meter, and as a histogram for the status page.</summary>
public sealed class RankingMetrics : IDisposable
{
    public const string MeterName = "KdServing.Serving";

    // Boxed once: a tag is an object, and a request must not make one.
    private static readonly object[] CodeNames = [.. Enumerable.Range(0, 17).Select(c => ((StatusCode)c).ToString())];

    private readonly Meter meter = new(MeterName);
    private readonly Counter<long> requests;
    private readonly Counter<long> candidates;
    private readonly Counter<long> takenCalls;
    private readonly Histogram<double> duration;
    private readonly long[] counts = new long[CodeNames.Length];
    private long taken;

    public RankingMetrics()
    {
        requests = meter.CreateCounter<long>("kd_rank_requests", "requests", "Ranking requests answered, by status code.");
        duration = meter.CreateHistogram<double>("kd_rank_duration", "seconds", "Time from a request's arrival in the service to its answer.");
        candidates = meter.CreateCounter<long>("kd_rank_candidates", "candidates", "Candidates scored.");
        takenCalls = meter.CreateCounter<long>("kd_rank_taken", "requests", "Ranking requests that were taken where their bytes arrived, whatever came of them; the others went through Kestrel.");
    }

    /// <summary>For instruments that read the state of other parts.</summary>
    public Meter Meter => meter;

    /// <summary>Time from a request's arrival in the service to its answer; successful requests.</summary>
    public LatencyHistogram Latency { get; } = new();

    public long Requests => counts.Sum();

    /// <summary>Requests that did not go through Kestrel.</summary>
    public long TakenCalls => Volatile.Read(ref taken);

    /// <summary>Requests that failed through no fault of the client.</summary>
    public long Errors => Count(StatusCode.Unknown) + Count(StatusCode.ResourceExhausted) + Count(StatusCode.Internal)
        + Count(StatusCode.Unavailable);

    public IReadOnlyDictionary<string, long> ByCode() =>
        Enumerable.Range(0, counts.Length).Where(c => Count((StatusCode)c) > 0)
            .ToDictionary(c => (string)CodeNames[c], c => Count((StatusCode)c));

    public void Answered(StatusCode code, int candidateCount, TimeSpan elapsed)
    {
        Interlocked.Increment(ref counts[(int)code]);
        requests.Add(1, new KeyValuePair<string, object?>("code", CodeNames[(int)code]));
        if (code != StatusCode.OK)
            return;
        candidates.Add(candidateCount);
        duration.Record(elapsed.TotalSeconds);
        Latency.Record(elapsed);
    }

    public void Took()
    {
        Interlocked.Increment(ref taken);
        takenCalls.Add(1);
    }

    private long Count(StatusCode code) => Volatile.Read(ref counts[(int)code]);

    public void Dispose() => meter.Dispose();
}
