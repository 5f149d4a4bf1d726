using Microsoft.Extensions.Options;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>Starts the options of one service as a copy of those of every service.</summary>
internal sealed class CopyOfEveryServicesOptions<TService>(IOptions<GrpcServiceOptions> everyService)
    : IConfigureOptions<GrpcServiceOptions<TService>>
    where TService : class
{
    public void Configure(GrpcServiceOptions<TService> options)
    {
        var source = everyService.Value;
        options.MaxSendMessageSize = source.MaxSendMessageSize;
        options.MaxReceiveMessageSize = source.MaxReceiveMessageSize;
        options.EnableDetailedErrors = source.EnableDetailedErrors;
        options.ResponseCompressionAlgorithm = source.ResponseCompressionAlgorithm;
        options.ResponseCompressionLevel = source.ResponseCompressionLevel;
        options.CompressionProviders = [.. source.CompressionProviders];
        foreach (var interceptor in source.Interceptors)
            options.Interceptors.Add(interceptor);
    }
}
