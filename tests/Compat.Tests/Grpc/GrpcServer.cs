using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace KdServing.Compat.Tests;

/// <summary>A Kestrel server of HTTP/2 in this process, on a free port of the loopback interface.</summary>
public sealed class GrpcServer : IAsyncDisposable
{
    private readonly WebApplication _application;

    private GrpcServer(WebApplication application, RecordedLogs logs)
    {
        _application = application;
        Logs = logs;
        Address = new Uri(application.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses.Single());
    }

    public Uri Address { get; }

    public RecordedLogs Logs { get; }

    /// <param name="configure">Adds services; gRPC itself is added by the caller, with the options under test.</param>
    /// <param name="map">Maps endpoints.</param>
    /// <param name="listen">Changes how the port listens, for example to TLS.</param>
    public static async Task<GrpcServer> StartAsync(
        Action<IServiceCollection> configure, Action<WebApplication> map, Action<ListenOptions>? listen = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        var logs = new RecordedLogs();

        // The host's diagnostics make an activity and a scope for every request as soon as their category logs anything.
        builder.Logging.ClearProviders().AddProvider(logs).SetMinimumLevel(LogLevel.Warning)
            .AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None);
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, options =>
        {
            options.Protocols = HttpProtocols.Http2;
            listen?.Invoke(options);
        }));
        configure(builder.Services);
        var application = builder.Build();
        map(application);
        await application.StartAsync();
        return new GrpcServer(application, logs);
    }

    /// <summary>A server with one service, as it is configured by default.</summary>
    public static Task<GrpcServer> StartAsync<TService>(Action<global::Grpc.AspNetCore.Server.GrpcServiceOptions>? configure = null)
        where TService : class =>
        StartAsync(services => services.AddGrpc(configure ?? (_ => { })), application => application.MapGrpcService<TService>());

    /// <summary>Stops as a host does: no new calls, calls in flight may end.</summary>
    public Task StopAsync(CancellationToken cancellationToken = default) => _application.StopAsync(cancellationToken);

    public ValueTask DisposeAsync() => _application.DisposeAsync();
}
