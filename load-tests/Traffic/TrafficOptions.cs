namespace KdServing.LoadTests.Traffic;

/// <summary>How requests are sent.</summary>
public sealed record TrafficOptions
{
    public double RatePerSecond { get; init; } = 100;

    public Arrivals Arrivals { get; init; } = Arrivals.Poisson;

    /// <summary>How long to send; infinite: until cancelled.</summary>
    public double Seconds { get; init; } = double.PositiveInfinity;

    /// <summary>Requests under way at most; one that would exceed it is counted as the error <c>in_flight_limit</c>.</summary>
    public int InFlightMax { get; init; } = 512;

    /// <summary>Deadline of a request, from its intended send time.</summary>
    public int DeadlineMs { get; init; } = 5000;

    /// <summary>
    /// Requests sent one after another before the clock starts, not counted: connecting and the client's own compilation would
    /// else be measured as the server's latency. The first that fails ends them.
    /// </summary>
    public int WarmUpRequests { get; init; } = 20;

    /// <summary>The server may go back to an older version; otherwise that is the error <c>version_went_back</c>.</summary>
    public bool AllowRollback { get; init; }

    public int Seed { get; init; } = 1;
}

/// <summary>What requests hold.</summary>
public sealed record RequestOptions
{
    /// <summary>Candidates of a request.</summary>
    public int Candidates { get; init; } = 500;

    /// <summary>Model to ask for; empty: the server's only one.</summary>
    public string Model { get; init; } = "";

    /// <summary>0: not checked by the server.</summary>
    public ulong SchemaFingerprint { get; init; }

    /// <summary>Speed of the replay clock, in impressions of the replay a second; the teacher's streaming rate.</summary>
    public double RecordsPerSecond { get; init; } = 500;

    /// <summary>Instead of a speed: the event time another replay has reached, e.g. the teacher's; this one follows it.</summary>
    public Func<long>? FollowEventTimeMs { get; init; }

    /// <summary>Event time at which the traffic starts; absent: the start of the replay.</summary>
    public long? FromEventTimeMs { get; init; }

    public int Seed { get; init; } = 1;
}
