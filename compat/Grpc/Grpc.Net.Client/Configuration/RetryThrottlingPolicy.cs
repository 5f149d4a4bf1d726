namespace Grpc.Net.Client.Configuration;

/// <summary>When retries stop because too many calls fail.</summary>
public sealed class RetryThrottlingPolicy
{
    public int? MaxTokens { get; set; }

    public double? TokenRatio { get; set; }
}
