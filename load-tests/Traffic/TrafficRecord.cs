namespace KdServing.LoadTests.Traffic;

/// <summary>One request that was answered.</summary>
/// <param name="IntendedUnixMs">When it was to be sent.</param>
/// <param name="LatencyUs">From then to the reply.</param>
/// <param name="Version">That scored it.</param>
public readonly record struct TrafficSample(long IntendedUnixMs, int LatencyUs, long Version)
{
    public long DoneUnixMs => IntendedUnixMs + (LatencyUs / 1000);
}

/// <summary>Replies by one version.</summary>
/// <param name="Version">The version.</param>
/// <param name="FirstReplyUnixMs">When its first reply was received, milliseconds since the Unix epoch.</param>
/// <param name="WatermarkMs">How far in event time it had learned.</param>
/// <param name="Replies">How many.</param>
public sealed record VersionReplies(long Version, long FirstReplyUnixMs, long WatermarkMs, long Replies);

/// <summary>What happened to the requests so far; a copy, not changed by what follows.</summary>
/// <param name="Seconds">Since the start.</param>
/// <param name="Requests">Intended so far, whatever became of them.</param>
/// <param name="Served">Answered as they should be.</param>
/// <param name="InFlight">Not answered yet.</param>
/// <param name="Errors">Of the others, how many by reason: a gRPC status, a failed reply check, or <c>in_flight_limit</c>.</param>
/// <param name="Versions">By version, oldest first.</param>
/// <param name="Latency">Of the served ones, from the intended send time.</param>
/// <param name="SendDelay">From the intended to the actual send: the part of the latency that is the generator's own.</param>
public sealed record TrafficFigures(double Seconds, long Requests, long Served, long InFlight, IReadOnlyDictionary<string, long> Errors,
    IReadOnlyList<VersionReplies> Versions, LatencyHistogram Latency, LatencyHistogram SendDelay)
{
    public long ErrorCount => Errors.Values.Sum();

    public double ServedPerSecond => Seconds > 0 ? Served / Seconds : 0;
}

/// <summary>Collects what happens to requests. Thread-safe.</summary>
public sealed class TrafficRecord
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<long, VersionReplies> _versions = [];
    private readonly Dictionary<string, long> _errors = [];
    private readonly LatencyHistogram _latency = new();
    private readonly LatencyHistogram _sendDelay = new();
    private readonly List<TrafficSample> _samples = [];
    private long _requests;
    private long _inFlight;

    /// <summary>Newest version that has replied.</summary>
    public long VersionSeen { get; private set; }

    /// <summary>Counts an intended request; false when too many are under way, which is then its error.</summary>
    public bool TryBegin(int inFlightMax)
    {
        lock (_lock)
        {
            _requests++;
            if (_inFlight >= inFlightMax)
            {
                _errors["in_flight_limit"] = _errors.GetValueOrDefault("in_flight_limit") + 1;
                return false;
            }

            _inFlight++;
            return true;
        }
    }

    public void Sent(long delayUs)
    {
        lock (_lock)
            _sendDelay.Record(delayUs);
    }

    public void Served(TrafficSample sample, long watermarkMs)
    {
        lock (_lock)
        {
            _inFlight--;
            _latency.Record(sample.LatencyUs);
            _samples.Add(sample);
            var known = _versions.GetValueOrDefault(sample.Version);
            _versions[sample.Version] = new(sample.Version, known?.FirstReplyUnixMs ?? sample.DoneUnixMs, watermarkMs, (known?.Replies ?? 0) + 1);
            VersionSeen = Math.Max(VersionSeen, sample.Version);
        }
    }

    /// <summary>What the first failed request was told; null while none has failed with words.</summary>
    public string? FirstError { get; private set; }

    public void Failed(string reason, string? words = null)
    {
        lock (_lock)
        {
            FirstError ??= string.IsNullOrEmpty(words) ? null : words;
            _inFlight--;
            _errors[reason] = _errors.GetValueOrDefault(reason) + 1;
        }
    }

    public TrafficFigures Figures(double seconds)
    {
        lock (_lock)
        {
            return new(seconds, _requests, _latency.Count, _inFlight, new SortedDictionary<string, long>(_errors),
                [.. _versions.Values], _latency.Copy(), _sendDelay.Copy());
        }
    }

    /// <summary>Every served request, in the order of the replies.</summary>
    public TrafficSample[] Samples()
    {
        lock (_lock)
            return [.. _samples];
    }

    /// <summary>Latency of the requests that were under way at some moment of the windows, or of all others.</summary>
    /// <param name="windows">Start and end, milliseconds since the Unix epoch.</param>
    /// <param name="inside">True: inside any window; false: outside all.</param>
    public LatencyHistogram Latency(IReadOnlyList<(long StartMs, long EndMs)> windows, bool inside = true)
    {
        var histogram = new LatencyHistogram();
        foreach (var sample in Samples())
        {
            if (windows.Any(w => sample.IntendedUnixMs <= w.EndMs && sample.DoneUnixMs >= w.StartMs) == inside)
                histogram.Record(sample.LatencyUs);
        }

        return histogram;
    }
}
