using Grpc.Core;
using Grpc.Health.V1;
using KdServing.Serving.Models;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace KdServing.Serving.Health;

/// <summary>The standard health service: SERVING while there is a version and the server is not stopping.</summary>
public sealed class HealthService(ServableSlot slot, IHostApplicationLifetime lifetime) : Grpc.Health.V1.Health.HealthBase
{
    // How long a watcher may not know; a look costs two field reads.
    private static readonly TimeSpan WatchInterval = TimeSpan.FromMilliseconds(100);

    // The empty name is the whole server.
    private static readonly HashSet<string> Services = new(StringComparer.Ordinal)
    {
        "",
        Contracts.Ranking.Descriptor.FullName,
        Grpc.Health.V1.Health.Descriptor.FullName,
    };

    public override Task<HealthCheckResponse> Check(HealthCheckRequest request, ServerCallContext context) =>
        Services.Contains(request.Service)
            ? Task.FromResult(new HealthCheckResponse { Status = State() })
            : throw new RpcException(new(StatusCode.NotFound, "unknown service"));

    public override async Task Watch(HealthCheckRequest request, IServerStreamWriter<HealthCheckResponse> responseStream, ServerCallContext context)
    {
        var isKnown = Services.Contains(request.Service);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, lifetime.ApplicationStopping);
        ServingStatus? told = null;
        try
        {
            for (; ; await Task.Delay(WatchInterval, ended.Token))
            {
                var state = isKnown ? State() : ServingStatus.ServiceUnknown;
                if (state != told)
                    await responseStream.WriteAsync(new HealthCheckResponse { Status = state });
                told = state;
            }
        }
        catch (OperationCanceledException)
        {
            // The stream ends with the watcher, or with the server: it is told so first.
            if (!context.CancellationToken.IsCancellationRequested && isKnown && told != ServingStatus.NotServing)
                await responseStream.WriteAsync(new HealthCheckResponse { Status = ServingStatus.NotServing });
        }
    }

    private ServingStatus State() =>
        slot.Current is not null && !lifetime.ApplicationStopping.IsCancellationRequested ? ServingStatus.Serving : ServingStatus.NotServing;
}
