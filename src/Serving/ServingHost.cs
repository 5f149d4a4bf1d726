using System.Net;
using KdServing.Contracts;
using KdServing.Serving.Catalog;
using KdServing.Serving.Connections;
using KdServing.Serving.Control;
using KdServing.Serving.Health;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using KdServing.Serving.Readiness;
using KdServing.Serving.Reflection;
using KdServing.Serving.Status;
using KdServing.Serving.Transport;
using KdServing.Serving.Wire;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using StackExchange.Redis;
using IServer = Microsoft.AspNetCore.Hosting.Server.IServer;

namespace KdServing.Serving;

/// <summary>A running server: wires the parts, listens, and takes everything down again in order.</summary>
public sealed class ServingHost : IAsyncDisposable
{
    private static readonly TimeSpan LastRequestTimeout = TimeSpan.FromSeconds(2);

    private readonly WebApplication app;
    private readonly InferenceRuntime runtime;
    private readonly NicedThread thread;
    private readonly NicedThread? catalogThread;
    private readonly ConnectionMultiplexer? redis;
    private ControlListener? control;

    private ServingHost(WebApplication app, InferenceRuntime runtime, NicedThread thread, NicedThread? catalogThread, ConnectionMultiplexer? redis)
    {
        this.app = app;
        this.runtime = runtime;
        this.thread = thread;
        this.catalogThread = catalogThread;
        this.redis = redis;
    }

    /// <summary>Port the gRPC services listen on.</summary>
    public int Port { get; private set; }

    /// <summary>Port of the status page; null when it is off.</summary>
    public int? HttpPort { get; private set; }

    /// <summary>Port of the control listener; null when it is off.</summary>
    public int? ControlPort => control?.Port;

    public IServiceProvider Services => app.Services;

    /// <summary>Starts to listen; versions are loaded from then on.</summary>
    /// <param name="logging">Replaces the console as the place log lines go to.</param>
    /// <exception cref="ContractException">An option makes no sense.</exception>
    /// <exception cref="InferenceRuntimeException">ONNX Runtime or the device asked for is not there.</exception>
    /// <exception cref="AddressInUseException">Somebody else listens on the port.</exception>
    public static async Task<ServingHost> StartAsync(ServingOptions options, Action<ILoggingBuilder>? logging = null)
    {
        options.Require();
        var deviceOptions = options.DeviceOptions with { HasCatalog = options.Catalog is not null };
        var runtime = options.Accelerator is { } given ? InferenceRuntime.On(given, deviceOptions) : InferenceRuntime.Open(options.Device, deviceOptions);
        var redis = options.Redis is null ? null : await ConnectAsync(options.Redis);
        var thread = new NicedThread("kd-loader", options.LoaderNiceness);
        var catalogThread = options.Catalog is null ? null : new NicedThread("kd-catalog", options.LoaderNiceness);
        var app = Build(options, runtime, thread, catalogThread, redis, logging);
        var host = new ServingHost(app, runtime, thread, catalogThread, redis);
        try
        {
            await host.ListenAsync(options);
            return host;
        }
        catch (IOException e) when (e.InnerException is AddressInUseException inUse)
        {
            await host.DisposeAsync();
            // Kestrel's message is the one that names the port.
            throw new AddressInUseException(e.Message, inUse);
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    /// <summary>Completes when the process was told to stop and everything in flight is answered.</summary>
    public Task WaitForShutdownAsync() => app.WaitForShutdownAsync();

    /// <summary>Refuses what is new, answers what is in flight.</summary>
    public Task StopAsync() => app.StopAsync();

    public async ValueTask DisposeAsync()
    {
        // Twice is harmless: a stopped host stops at once.
        if (control is not null)
            await control.DisposeAsync();
        control = null;
        await app.StopAsync();
        foreach (var servable in app.Services.GetRequiredService<Rollout>().Clear())
            await FreeAsync(servable);
        await app.DisposeAsync();
        thread.Dispose();
        catalogThread?.Dispose();
        // Dispose of release 1.2.6 waits out its timeout when Redis is away.
        redis?.Close(allowCommandsToComplete: false);
        runtime.Dispose();
    }

    // A request that outlived its time to finish keeps its version: the process ends anyway, and memory is not pulled from under it.
    private static async Task FreeAsync(Servable servable)
    {
        var drained = servable.RetireAsync();
        if (await Task.WhenAny(drained, Task.Delay(LastRequestTimeout)) == drained)
            servable.Dispose();
    }

    private async Task ListenAsync(ServingOptions options)
    {
        var log = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger<ServingHost>();
        log.DeviceChosen(runtime.Device, runtime.Reason);
        if (runtime.Devices is { } devices)
            devices.Failed += log.DeviceFailed;
        // What is registered first is called last: after the streams have been told.
        app.Lifetime.ApplicationStopping.Register(app.Services.GetRequiredService<OpenStreams>().WaitForReaders);
        app.Lifetime.ApplicationStopping.Register(log.Stopping);
        if (app.Services.GetService<RequestBatcher>() is { } batcher)
        {
            app.Lifetime.ApplicationStopping.Register(batcher.Close);
            log.BatchingChosen(batcher.Options.BudgetMicroseconds, batcher.Options.MaxCandidates);
        }
        // Before the first request: it makes the gauges known.
        var status = app.Services.GetRequiredService<ServingStatus>();
        await app.StartAsync();
        // In the order they were asked for below.
        var ports = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses
            .Select(a => BindingAddress.Parse(a).Port).ToList();
        Port = ports[0];
        HttpPort = options.HttpPort is null ? null : ports[1];
        await StartControlAsync(options, log);
        status.Ports = (Port, HttpPort, ControlPort);
        log.Started(options.Model, options.Repository, Port, HttpPort is { } http ? $"http://{options.Address}:{http}/" : "off");
    }

    private async Task StartControlAsync(ServingOptions options, ILogger<ServingHost> log)
    {
        if (options.ControlPort is not { } port)
            return;
        var access = ControlAccess.Create(options.ControlAddress, options.ControlTokenFile);
        var services = app.Services;
        var service = new ModelControlService(options.Model, services.GetRequiredService<VersionShelf>(), services.GetRequiredService<ServableSlot>(),
            services.GetRequiredService<Rollout>(), services.GetRequiredService<ModelSource>(), services.GetRequiredService<ShadowScoring>(),
            services.GetRequiredService<RecentRequests>(), access, services.GetRequiredService<ILogger<ModelControlService>>());
        control = await ControlListener.StartAsync(options.ControlAddress, port, service, services.GetRequiredService<ILoggerFactory>());
        log.ControlStarted(options.ControlAddress, control.Port, access.Description);
    }

    private static WebApplication Build(ServingOptions options, InferenceRuntime runtime, NicedThread thread, NicedThread? catalogThread,
        ConnectionMultiplexer? redis, Action<ILoggingBuilder>? logging)
    {
        var builder = WebApplication.CreateEmptyBuilder(new() { ApplicationName = typeof(ServingHost).Assembly.GetName().Name });
        builder.WebHost.UseKestrelCore();
        ConfigureLogging(builder.Logging, logging);
        ConfigureKestrel(builder, options);
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = options.StopTimeout);
        builder.Services.AddRoutingCore();
        RankingTransport.AddTo(builder.Services);
        builder.Services.AddGrpc();
        AddParts(builder.Services, options, runtime, thread, redis);
        if (BatchingOptions.For(options.BatchMicroseconds, options.BatchCandidates, options.BatchForced, runtime.Device) is { } batching)
            AddBatching(builder.Services, batching);
        if (options.Catalog is not null)
            AddCatalog(builder.Services, options, options.Catalog, runtime, catalogThread!, redis);

        var app = builder.Build();
        if (options.HttpPort is not null)
        {
            var pages = app.Services.GetRequiredService<StatusPages>();
            app.MapWhen(c => !HttpProtocol.IsHttp2(c.Request.Protocol), b => b.Run(pages.HandleAsync));
        }
        app.UseMiddleware<EarlyRefusal>();
        app.UseRouting();
        app.MapGrpcService<RankingService>();
        app.MapGrpcService<HealthService>();
        app.MapGrpcService<ReflectionService>();
        return app;
    }

    private static void AddParts(IServiceCollection services, ServingOptions options, InferenceRuntime runtime, NicedThread thread,
        ConnectionMultiplexer? redis)
    {
        var verifier = options.TrustedKeys is null ? null : VersionVerifier.FromFile(options.TrustedKeys, "--trusted-keys");
        var repository = new ModelRepository(options.Repository) { Verifier = verifier };
        var kept = options.State is null ? null : new ModelRepository(Path.Combine(options.State, "versions")) { Verifier = verifier };
        var state = new ControlStateFile(options.State is null ? null : Path.Combine(Path.GetFullPath(options.State), "control.json"));
        services.AddSingleton(new RankingModel(options.Model));
        services.AddSingleton(options.Limits);
        services.AddSingleton(runtime);
        services.AddSingleton<ServableSlot>();
        services.AddSingleton<SwapLedger>();
        services.AddSingleton<RecentRequests>();
        services.AddSingleton<ScoringBufferPool>();
        services.AddSingleton(new AdmissionGate(options.Limits.Concurrency, options.Limits.MaxQueueMs));
        services.AddSingleton<RankingMetrics>();
        services.AddSingleton(p => new PrometheusText(p.GetRequiredService<RankingMetrics>().Meter));
        services.AddSingleton(p => new LatencySeries(p.GetRequiredService<RankingMetrics>().Latency));
        services.AddSingleton(p => new RankingService(p.GetRequiredService<RankingModel>(), p.GetRequiredService<ServableSlot>(), options.Limits,
            p.GetRequiredService<AdmissionGate>(), p.GetRequiredService<GatheredSends>(), p.GetRequiredService<RecentRequests>(), p.GetRequiredService<ShadowScoring>(), p.GetRequiredService<RankingMetrics>(),
            p.GetService<ItemCatalog>(), p.GetService<RequestBatcher>(), p.GetRequiredService<OpenStreams>(), p.GetRequiredService<IHostApplicationLifetime>(), p.GetRequiredService<ILogger<RankingService>>()));
        services.AddSingleton<RankingEndpoint>(p => p.GetRequiredService<RankingService>());
        services.AddSingleton(new OpenStreams(options.StreamLinger));
        services.AddSingleton<HealthService>();
        services.AddSingleton<ReflectionService>();
        services.AddSingleton<ServingStatus>();
        services.AddSingleton<StatusPages>();
        services.AddSingleton(p => new ServableLoader(repository, runtime, p.GetRequiredService<ScoringBufferPool>(),
            p.GetRequiredService<RecentRequests>(), options.WarmUpLimit)
        { Engine = options.Engine, RestsBesideRequests = true });
        services.AddSingleton(options.Rollout);
        services.AddSingleton(p => new ShadowScoring(p.GetRequiredService<ServableSlot>(), thread));
        services.AddSingleton(p => new Rollout(options.Model, p.GetRequiredService<ServableSlot>(), p.GetRequiredService<SwapLedger>(), state,
            options.Rollout, thread, p.GetRequiredService<ShadowScoring>(), TimeProvider.System, p.GetRequiredService<ILogger<Rollout>>()));
        services.AddSingleton(p => new VersionShelf(options.Model, repository, kept,
            options.Transfer ? new(redis!.GetDatabase(), options.Model, new()) : null, p.GetRequiredService<ILogger<VersionShelf>>()));
        services.AddSingleton(p => new Rehearsal(p.GetRequiredService<RankingModel>(), options.Limits, thread, options.RehearsalLimit,
            p.GetRequiredService<ILogger<Rehearsal>>()));
        services.AddSingleton(p => new ModelSource(options.Model, p.GetRequiredService<VersionShelf>(), p.GetRequiredService<ServableLoader>(), thread,
            p.GetRequiredService<ServableSlot>(), p.GetRequiredService<Rollout>(), options.Rollout, p.GetRequiredService<SwapLedger>(), Feed(p),
            p.GetService<CatalogFeed>(), options.RehearsalLimit > TimeSpan.Zero ? p.GetRequiredService<Rehearsal>() : null, options.LookInterval, p.GetRequiredService<ILogger<ModelSource>>()));
        services.AddHostedService(p => p.GetRequiredService<Rollout>());
        services.AddHostedService(p => p.GetRequiredService<ShadowScoring>());
        if (redis is not null)
            services.AddHostedService(p => new ReplayClock(redis.GetDatabase(), options.Model, p.GetRequiredService<ServableSlot>()));
        services.AddHostedService(p => p.GetRequiredService<ModelSource>());
        services.AddHostedService(p => p.GetRequiredService<LatencySeries>());
        if (options.StatusFile is { } file)
            services.AddHostedService(p => new StatusFile(file, p.GetRequiredService<ServingStatus>(), p.GetRequiredService<ILogger<StatusFile>>()));

        AnnouncementFeed? Feed(IServiceProvider p) => redis is null ? null : new(new(redis.GetDatabase(), options.Model), options.Redis!,
            $"{Environment.MachineName}:{Environment.ProcessId}", p.GetRequiredService<ILogger<AnnouncementFeed>>());
    }

    private static void AddCatalog(IServiceCollection services, ServingOptions options, CatalogOptions catalog, InferenceRuntime runtime, NicedThread thread,
        ConnectionMultiplexer? redis)
    {
        // Made by the container, which frees what it has made.
        services.AddSingleton(_ => new ItemCatalog(catalog, thread, runtime.Devices?.Accelerator));
        services.AddSingleton(p => new CatalogFeed(options.Model, p.GetRequiredService<ItemCatalog>(), catalog,
            redis is null ? null : new(redis.GetDatabase(), options.Model), p.GetRequiredService<ILogger<CatalogFeed>>()));
        services.AddHostedService(p => p.GetRequiredService<CatalogFeed>());
    }

    private static void AddBatching(IServiceCollection services, BatchingOptions batching)
    {
        services.AddSingleton<FineTime>();
        services.AddSingleton(p => new BatchMetrics(p.GetRequiredService<RankingMetrics>().Meter));
        services.AddSingleton(p => new RequestBatcher(batching, p.GetRequiredService<AdmissionGate>(), p.GetRequiredService<FineTime>(),
            p.GetRequiredService<BatchMetrics>()));
    }

    private static void ConfigureKestrel(WebApplicationBuilder builder, ServingOptions options) => builder.WebHost.ConfigureKestrel(kestrel =>
    {
        var address = IPAddress.Parse(options.Address);
        RankingTransport.Listen(kestrel, address, options.Port);
        if (options.HttpPort is { } http)
            kestrel.Listen(address, http, l => l.Protocols = HttpProtocols.Http1);
        RankingTransport.Configure(kestrel);
    });

    private static void ConfigureLogging(ILoggingBuilder logging, Action<ILoggingBuilder>? replacement)
    {
        logging.SetMinimumLevel(LogLevel.Information).AddFilter("Microsoft", LogLevel.Warning)
            // A failed start is told once, in words, by who called us; what ends a running host is critical and stays.
            .AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.Critical)
            // The gRPC layer logs each refused call under the service's name: a client must not fill our disk with its mistakes.
            .AddFilter(typeof(RankingService).FullName, LogLevel.Warning).AddFilter(typeof(HealthService).FullName, LogLevel.Warning)
            .AddFilter(typeof(ReflectionService).FullName, LogLevel.Warning);
        if (replacement is not null)
            replacement(logging);
        else
            logging.AddSimpleConsole(c => (c.SingleLine, c.TimestampFormat) = (true, "HH:mm:ss "));
    }

    private static Task<ConnectionMultiplexer> ConnectAsync(string endpoint)
    {
        var options = new ConfigurationOptions
        {
            // Redis may come later, or never: the folder is watched meanwhile.
            AbortOnConnectFail = false,
            ConnectRetry = 3,
            ConnectTimeout = 2000,
            SyncTimeout = 5000,
        };
        try
        {
            options.EndPoints.Add(endpoint);
        }
        catch (ArgumentException e)
        {
            throw new ContractException("--redis", $"'{endpoint}' is not HOST:PORT ({e.Message})");
        }
        return ConnectionMultiplexer.ConnectAsync(options);
    }
}
