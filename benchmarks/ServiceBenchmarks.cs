using System.Buffers;
using BenchmarkDotNet.Attributes;
using Google.Protobuf;
using KdServing.Benchmarks.Slopes;
using KdServing.Serving.Wire;

namespace KdServing.Benchmarks;

/// <summary>A whole request without a transport: from its bytes through the service to the bytes of its reply, candidates inline and by id.</summary>
/// <remarks>Beside <see cref="RankBenchmarks"/>, it says what HTTP/2 and the client add.</remarks>
[MemoryDiagnoser]
public class ServiceBenchmarks
{
    private const int CatalogItems = 100_000;

    private readonly InProcessCall context = new();
    private readonly InProcessReply reply = new();
    private SlopeServer server = null!;
    private ReadOnlySequence<byte> inline;
    private ReadOnlySequence<byte> byId;

    [Params(500, 1000)]
    public int Candidates { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        // BenchmarkDotNet awaits no set-up inside its own process.
        server = SlopeServer.StartAsync(CatalogItems, CancellationToken.None).GetAwaiter().GetResult();
        inline = new(server.Inline(Candidates, seed: 1).ToByteArray());
        byId = new(server.ById(Candidates, seed: 1).ToByteArray());
    }

    [GlobalCleanup]
    public void CleanUp() => server.DisposeAsync().AsTask().GetAwaiter().GetResult();

    [Benchmark(Baseline = true)]
    public Task<int> Inline() => RankAsync(inline);

    [Benchmark]
    public Task<int> ById() => RankAsync(byId);

    private async Task<int> RankAsync(ReadOnlySequence<byte> request)
    {
        reply.Clear();
        RankedReply.WriteTo(await server.Service.Rank(RankCall.Read(request), context), reply);
        return reply.Length;
    }
}
