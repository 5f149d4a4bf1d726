using System.Net;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using IServer = Microsoft.AspNetCore.Hosting.Server.IServer;

namespace KdServing.Serving.Control;

/// <summary>The listener people command a server through. An application of its own: nothing of it can be reached by the ranking port.</summary>
public sealed class ControlListener : IAsyncDisposable
{
    private readonly WebApplication app;

    private ControlListener(WebApplication app) => this.app = app;

    /// <summary>Port it listens on.</summary>
    public int Port { get; private set; }

    /// <param name="logging">Where log lines go; those of the server.</param>
    /// <exception cref="IOException">The port is taken.</exception>
    public static async Task<ControlListener> StartAsync(string address, int port, ModelControlService service, ILoggerFactory logging)
    {
        var builder = WebApplication.CreateEmptyBuilder(new() { ApplicationName = typeof(ControlListener).Assembly.GetName().Name });
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(IPAddress.Parse(address), port, l => l.Protocols = HttpProtocols.Http2);
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(logging);
        builder.Services.AddSingleton(service);
        var app = builder.Build();
        app.UseRouting();
        app.MapGrpcService<ModelControlService>();
        try
        {
            await app.StartAsync();
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }
        return new(app)
        {
            Port = BindingAddress.Parse(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port,
        };
    }

    public async ValueTask DisposeAsync()
    {
        await app.StopAsync();
        await app.DisposeAsync();
    }
}
