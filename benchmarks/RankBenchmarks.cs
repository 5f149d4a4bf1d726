using BenchmarkDotNet.Attributes;
using Grpc.Net.Client;
using KdServing.Benchmarks.Peers;
using KdServing.Contracts;
using KdServing.Serving;
using KdServing.Serving.Models;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KdServing.Benchmarks;

/// <summary>A whole request over loopback, server and client in one process, one in flight at a time: the server, and its gRPC layer without a model.</summary>
/// <remarks>The allocated bytes are those of both ends.</remarks>
[MemoryDiagnoser]
public class RankBenchmarks
{
    private ReferenceStudent student = null!;
    private ServingHost host = null!;
    private GrpcChannel channel = null!;
    private Contracts.Ranking.RankingClient client = null!;
    private WebApplication noop = null!;
    private GrpcChannel noopChannel = null!;
    private Contracts.Ranking.RankingClient noopClient = null!;
    private RankRequest request = null!;

    [Params(500, 1000)]
    public int Candidates { get; set; }

    [Params(true, false)]
    public bool Raw { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        student = new();
        request = student.Request(Candidates, Raw);
        // BenchmarkDotNet awaits no set-up inside its own process.
        host = ServingHost.StartAsync(new() { Repository = student.Folder, Model = ReferenceStudent.Model }, l => l.ClearProviders())
            .GetAwaiter().GetResult();
        channel = GrpcChannel.ForAddress($"http://127.0.0.1:{host.Port}");
        client = new(channel);
        noop = NoopServer.Build(port: 0);
        noop.Start();
        noopChannel = GrpcChannel.ForAddress(noop.Urls.Single());
        noopClient = new(noopChannel);
        while (host.Services.GetRequiredService<ServableSlot>().Current is null)
            Thread.Sleep(10);
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        channel.Dispose();
        noopChannel.Dispose();
        noop.DisposeAsync().AsTask().GetAwaiter().GetResult();
        host.DisposeAsync().AsTask().GetAwaiter().GetResult();
        student.Dispose();
    }

    [Benchmark(Baseline = true)]
    public async Task<long> Noop() => (await noopClient.RankAsync(request)).Version;

    [Benchmark]
    public async Task<long> Rank() => (await client.RankAsync(request)).Version;
}
