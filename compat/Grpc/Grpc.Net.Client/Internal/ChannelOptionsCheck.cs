namespace Grpc.Net.Client.Internal;

/// <summary>Refuses options that can not be honoured: an ignored retry policy would be found out in production.</summary>
internal static class ChannelOptionsCheck
{
    public static void ThrowIfUnsupported(GrpcChannelOptions options)
    {
        if (options.HttpClient is not null && options.HttpHandler is not null)
            throw new ArgumentException($"Both {nameof(options.HttpClient)} and {nameof(options.HttpHandler)} are set; set one.");

        if (options.ServiceConfig is not { } config)
            return;

        if (config.RetryThrottling is not null)
            throw NotSupported(nameof(config.RetryThrottling));

        foreach (var method in config.MethodConfigs)
            if (method.RetryPolicy is not null || method.HedgingPolicy is not null)
                throw NotSupported(method.RetryPolicy is not null ? nameof(method.RetryPolicy) : nameof(method.HedgingPolicy));
    }

    private static NotSupportedException NotSupported(string feature) => new(
        $"{nameof(GrpcChannelOptions.ServiceConfig)}.{feature} is not supported by this client. Retry in the caller, or build with -p:PackageSource=nuget.");
}
