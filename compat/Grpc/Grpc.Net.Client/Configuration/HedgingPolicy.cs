using Grpc.Core;

namespace Grpc.Net.Client.Configuration;

/// <summary>When a call is made again before it has failed.</summary>
public sealed class HedgingPolicy
{
    public int? MaxAttempts { get; set; }

    public TimeSpan? HedgingDelay { get; set; }

    public IList<StatusCode> NonFatalStatusCodes { get; } = [];
}
