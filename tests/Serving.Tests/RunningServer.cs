using Grpc.Net.Client;
using KdServing.Contracts;
using KdServing.Serving.Catalog;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace KdServing.Serving.Tests;

/// <summary>A real server on free ports over a repository in a temporary folder, and a real client of it.</summary>
/// <remarks>Disposing fails the test if the server logged an error that <see cref="Log"/> was not told to expect.</remarks>
public sealed class RunningServer : IAsyncDisposable
{
    private readonly TemporaryFolder folder;
    private readonly ServingHost host;
    private readonly GrpcChannel controlChannel;

    private RunningServer(TemporaryFolder folder, ServingHost host, LogCollector log)
    {
        this.folder = folder;
        this.host = host;
        Log = log;
        Repository = new(folder["models"]);
        Channel = GrpcChannel.ForAddress($"http://127.0.0.1:{host.Port}");
        Client = new(Channel);
        controlChannel = GrpcChannel.ForAddress($"http://127.0.0.1:{host.ControlPort}");
        Control = new(controlChannel);
        Http = new() { BaseAddress = new($"http://127.0.0.1:{host.HttpPort}/") };
    }

    public LogCollector Log { get; }

    public ModelRepository Repository { get; }

    public GrpcChannel Channel { get; }

    public Contracts.Ranking.RankingClient Client { get; }

    public HttpClient Http { get; }

    /// <summary>A client of the control listener, from this machine and without a token.</summary>
    public ModelControl.ModelControlClient Control { get; }

    public Rollout Rollout => host.Services.GetRequiredService<Rollout>();

    public ServingHost Host => host;

    public ServableSlot Slot => host.Services.GetRequiredService<ServableSlot>();

    public SwapLedger Ledger => host.Services.GetRequiredService<SwapLedger>();

    public ModelSource Source => host.Services.GetRequiredService<ModelSource>();

    public ItemCatalog Catalog => host.Services.GetRequiredService<ItemCatalog>();

    public CatalogFeed Items => host.Services.GetRequiredService<CatalogFeed>();

    /// <param name="sample">Published before the server starts; null: a server without a version.</param>
    /// <param name="catalog">The item catalog's options; null: a server without one.</param>
    /// <param name="change">Other options than those of most tests.</param>
    public static async Task<RunningServer> StartAsync(SampleStudent? sample, RankingLimits? limits = null, string? redis = null,
        CatalogOptions? catalog = null, Func<ServingOptions, ServingOptions>? change = null)
    {
        var folder = new TemporaryFolder();
        sample?.Publish(new(folder["models"]));
        var log = new LogCollector();
        var options = new ServingOptions
        {
            Repository = folder["models"],
            Model = SampleStudent.Model,
            HttpPort = 0,
            Redis = redis,
            Limits = limits ?? new(),
            Catalog = catalog,
            LookInterval = TimeSpan.FromMilliseconds(10),
            WarmUpLimit = TimeSpan.FromMilliseconds(100),
            ControlPort = 0,
        };
        var host = await ServingHost.StartAsync(change?.Invoke(options) ?? options, l => l.AddProvider(log));
        var server = new RunningServer(folder, host, log);
        if (sample is not null)
            await server.ServesAsync(1);
        return server;
    }

    /// <summary>Waits until a version is in service.</summary>
    public Task ServesAsync(long version) => Eventually.HoldsAsync(() => Slot.Current?.Version == version, $"version {version} is in service; log:\n{Log}");

    /// <summary>Waits until a version was refused; its reason.</summary>
    public async Task<string> RefusesAsync(long version)
    {
        await Eventually.HoldsAsync(() => Source.Refused.ContainsKey(version), $"version {version} is refused; log:\n{Log}");
        return Source.Refused[version];
    }

    /// <summary>Waits until every version that was replaced is freed.</summary>
    public Task DisposedAllButTheLastAsync() => Eventually.HoldsAsync(
        () => Ledger.Entries().All(e => e.Error is not null || e.From is null || e.DisposedMs is not null), "replaced versions are disposed");

    public async ValueTask DisposeAsync()
    {
        Channel.Dispose();
        controlChannel.Dispose();
        Http.Dispose();
        await host.DisposeAsync();
        folder.Dispose();
        Log.RequireNoErrors();
    }
}
