using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using KdServing.Compat.Tests.Interop;
using KdServing.Compat.Tests.Peers;

namespace KdServing.Compat.Tests;

/// <summary>A server that stops, and one that has much to do.</summary>
public sealed class ServerLifeTests
{
    [Fact]
    public async Task Stopping_waits_for_the_calls_in_flight()
    {
        await using var server = await ScriptedServer.StartAsync();
        var entered = new TaskCompletionSource();
        var mayEnd = new TaskCompletionSource();
        server.Unary = async (_, _) =>
        {
            entered.SetResult();
            await mayEnd.Task;
            return new SimpleResponse { Payload = new Payload() };
        };
        var call = server.Client.UnaryCallAsync(new SimpleRequest());
        await entered.Task;
        var stopping = server.Server.StopAsync();
        Assert.NotSame(stopping, await Task.WhenAny(stopping, Task.Delay(200)));
        mayEnd.SetResult();
        Assert.Equal(new SimpleResponse { Payload = new Payload() }, await call);
        await stopping.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(StatusCode.Unavailable, (await server.FailAsync()).StatusCode);
    }

    [Fact]
    public async Task A_thousand_large_calls_at_once_all_succeed()
    {
        await using var server = await GrpcServer.StartAsync<InteropService>();
        using var channel = GrpcChannel.ForAddress(server.Address);
        var client = new TestService.TestServiceClient(channel);
        var request = new SimpleRequest { ResponseSize = 314159, Payload = new Payload { Body = ByteString.CopyFrom(new byte[271828]) } };
        var calls = Enumerable.Range(0, 1_000).Select(async _ => (await client.UnaryCallAsync(request)).Payload.Body.Length).ToArray();
        Assert.All(await Task.WhenAll(calls), size => Assert.Equal(314159, size));
        server.Logs.AssertNoErrors();
    }

    [Fact]
    public async Task Many_writers_and_readers_share_a_connection()
    {
        await using var server = await GrpcServer.StartAsync<InteropService>();
        using var channel = GrpcChannel.ForAddress(server.Address);
        await Parallel.ForEachAsync(Enumerable.Range(0, 200), new ParallelOptions { MaxDegreeOfParallelism = 32 }, async (_, _) =>
            await new InteropCases(channel).RunAsync("ping_pong"));
        server.Logs.AssertNoErrors();
    }
}
