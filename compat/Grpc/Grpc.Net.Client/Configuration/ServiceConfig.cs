namespace Grpc.Net.Client.Configuration;

/// <summary>How the calls of a channel are made, by method.</summary>
public sealed class ServiceConfig
{
    public IList<MethodConfig> MethodConfigs { get; } = [];

    /// <summary>Not supported here: a channel that is given one throws.</summary>
    public RetryThrottlingPolicy? RetryThrottling { get; set; }
}
