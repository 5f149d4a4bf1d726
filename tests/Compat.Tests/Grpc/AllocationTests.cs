using Google.Protobuf;
using KdServing.Compat.Tests.Interop;
using KdServing.Compat.Tests.Peers;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Xunit.Abstractions;

namespace KdServing.Compat.Tests;

/// <summary>
/// What the server allocates for one unary call: Kestrel, routing, the call's own objects, but no messages and no handler.
/// The client is another process, so that nothing of it is counted.
/// </summary>
[Collection(nameof(AllocationTests))]
public sealed class AllocationTests(ITestOutputHelper output)
{
    private const int WarmUpCalls = 2_000;
    private const int MeasuredCalls = 3_000;

    // What a call costs is in each of them; what Kestrel's pools give away and fetch again meanwhile is in some.
    private const int Measurements = 4;

    // 1,000 candidates of 12 raw columns of 8 bytes, about the largest request that the ranking service expects.
    private const int LargePayloadBytes = 96_000;

    // Debug builds put every state machine on the heap.
#if DEBUG
    private const int BudgetBytes = 2_500;
    private const int SmallBudgetBytes = BudgetBytes;
#else
    private const int BudgetBytes = 1_300;
    // Without a payload the pools have no part in it: 550, the same each time.
    private const int SmallBudgetBytes = 700;
#endif

    // About 1 % of the message: Kestrel's pools shrink and grow a little, a copy would be 96,000 bytes.
    private const int GrowthBudgetBytes = 1_000;

    [Fact]
    public async Task A_call_stays_within_its_budget_whatever_its_size()
    {
        var client = await CppPeer.PrepareAsync();
        var small = await MeasureAsync(client, payloadBytes: 0);
        var large = await MeasureAsync(client, LargePayloadBytes);
        output.WriteLine($"allocated a call: {small:F0} bytes without a payload, {large:F0} bytes with {LargePayloadBytes}");
        Assert.InRange(small, 0, SmallBudgetBytes);
        Assert.InRange(large, 0, BudgetBytes);
        Assert.InRange(large - small, -GrowthBudgetBytes, GrowthBudgetBytes);
    }

    private static async Task<double> MeasureAsync(ForeignPeer client, int payloadBytes)
    {
        var response = new SimpleResponse { Payload = new Payload { Body = ByteString.CopyFrom(new byte[payloadBytes / 8]) } };
        await using var server = await GrpcServer.StartAsync(
            services => services.AddSingleton(new FixedMessageService(new FixedMessage(response.ToByteArray()))).AddGrpc(),
            application => application.MapGrpcService<FixedMessageService>());

        await client.CallAsync(server.Address, WarmUpCalls, payloadBytes);
        var least = double.MaxValue;
        for (var i = 0; i < Measurements; i++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            await client.CallAsync(server.Address, MeasuredCalls, payloadBytes);
            least = Math.Min(least, (GC.GetTotalAllocatedBytes(precise: true) - before) / (double)MeasuredCalls);
        }
        return least;
    }
}
