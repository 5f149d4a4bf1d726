using Grpc.Core;

namespace Grpc.Net.Client.Configuration;

/// <summary>When a failed call is made again.</summary>
public sealed class RetryPolicy
{
    /// <summary>The number of attempts, the first one included; at least 2.</summary>
    public int? MaxAttempts { get; set; }

    public TimeSpan? InitialBackoff { get; set; }

    public TimeSpan? MaxBackoff { get; set; }

    public double? BackoffMultiplier { get; set; }

    public IList<StatusCode> RetryableStatusCodes { get; } = [];
}
