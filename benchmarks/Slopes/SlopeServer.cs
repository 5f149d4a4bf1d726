using System.Runtime.InteropServices;
using Google.Protobuf;
using Grpc.Net.Client;
using KdServing.Benchmarks.Catalog;
using KdServing.Contracts;
using KdServing.Serving;
using KdServing.Serving.Catalog;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace KdServing.Benchmarks.Slopes;

/// <summary>A server of the reference student with a full item catalog, a client of it, and requests for both; all in this process.</summary>
internal sealed class SlopeServer : IAsyncDisposable
{
    private const int BatchItems = 10_000;

    private readonly ReferenceStudent student;
    private readonly ServingHost host;
    private readonly GrpcChannel channel;
    private readonly string folder;

    private SlopeServer(ReferenceStudent student, ServingHost host, string folder)
    {
        (this.student, this.host, this.folder) = (student, host, folder);
        channel = GrpcChannel.ForAddress($"http://127.0.0.1:{host.Port}");
        Client = new(channel);
        Catalog = host.Services.GetRequiredService<ItemCatalog>();
    }

    public Contracts.Ranking.RankingClient Client { get; }

    public ItemCatalog Catalog { get; }

    /// <summary>What the transport calls.</summary>
    public RankingService Service => host.Services.GetRequiredService<RankingService>();

    /// <summary>The version in service, with its item vectors.</summary>
    public Servable Servable => host.Services.GetRequiredService<ServableSlot>().Current!;

    /// <param name="items">Items in the catalog; their vectors are 512 bytes each.</param>
    public static async Task<SlopeServer> StartAsync(int items, CancellationToken stop)
    {
        var student = new ReferenceStudent();
        var folder = Directory.CreateTempSubdirectory("kd-bench-").FullName;
        var host = await ServingHost.StartAsync(new()
        {
            Repository = student.Folder,
            Model = ReferenceStudent.Model,
            Catalog = new() { Folder = folder, MaxItems = items, SnapshotInterval = TimeSpan.FromDays(1) },
        }, l => l.ClearProviders());
        var server = new SlopeServer(student, host, folder);
        while (host.Services.GetRequiredService<ServableSlot>().Current is null)
            await Task.Delay(10, stop);
        for (var first = 0; first < items; first += BatchItems)
            await server.Catalog.ApplyAsync(CatalogModel.Items(student.Schema, first, Math.Min(BatchItems, items - first)));
        await server.Catalog.FilledAsync();
        return server;
    }

    /// <summary>A request whose candidates bring their features.</summary>
    public RankRequest Inline(int candidates, int seed) => student.Request(candidates, raw: true, seed);

    /// <summary>A request whose candidates are ids of the catalog, anywhere in it.</summary>
    public RankRequest ById(int candidates, int seed)
    {
        var request = Inline(candidates, seed);
        request.Item.Clear();
        var random = new Random(seed);
        var ids = Enumerable.Range(0, candidates).Select(_ => random.NextInt64(Catalog.Count)).ToArray();
        request.Catalog = new() { RawInt64 = ByteString.CopyFrom(MemoryMarshal.AsBytes<long>(ids)) };
        return request;
    }

    public async ValueTask DisposeAsync()
    {
        channel.Dispose();
        await host.DisposeAsync();
        student.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
