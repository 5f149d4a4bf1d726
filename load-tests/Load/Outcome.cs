using Grpc.Core;

namespace KdServing.LoadTests.Load;

/// <summary>What became of a request. 1 to 16 are gRPC status codes; above are what this side found.</summary>
internal enum Outcome : byte
{
    Served = 0,
    DeadlineExceeded = StatusCode.DeadlineExceeded,
    ResourceExhausted = StatusCode.ResourceExhausted,
    Unavailable = StatusCode.Unavailable,

    RequestIdDiffers = 100,
    NoVersion,
    ScoreCount,
    VersionWentBack,

    /// <summary>Never sent: too many were under way.</summary>
    InFlightLimit,

    /// <summary>This side gave up on it and reset the stream.</summary>
    Abandoned,

    /// <summary>The server reset the stream.</summary>
    StreamReset,
}

internal static class OutcomeNames
{
    /// <summary>As reports name it: the gRPC status, or the check that failed in snake case.</summary>
    public static string Name(this Outcome outcome) => outcome switch
    {
        Outcome.Served => "served",
        Outcome.RequestIdDiffers => "request_id_differs",
        Outcome.NoVersion => "no_version",
        Outcome.ScoreCount => "score_count",
        Outcome.VersionWentBack => "version_went_back",
        Outcome.InFlightLimit => "in_flight_limit",
        Outcome.Abandoned => "abandoned",
        Outcome.StreamReset => "stream_reset",
        _ => ((StatusCode)outcome).ToString(),
    };
}
