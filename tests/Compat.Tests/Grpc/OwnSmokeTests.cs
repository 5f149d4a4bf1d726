using Grpc.Core;
using Grpc.Net.Client;
using KdServing.Compat.Tests.Interop;
using KdServing.Compat.Tests.Peers;

namespace KdServing.Compat.Tests;

public sealed class OwnSmokeTests
{
    [Fact]
    public async Task All_four_shapes()
    {
        await using var server = await GrpcServer.StartAsync<InteropService>();
        using var channel = GrpcChannel.ForAddress(server.Address);
        var client = new TestService.TestServiceClient(channel);
        Assert.Equal(100_000, (await client.UnaryCallAsync(new SimpleRequest { ResponseSize = 100_000 })).Payload.Body.Length);
        Assert.Equal(7, client.UnaryCall(new SimpleRequest { ResponseSize = 7 }).Payload.Body.Length);
        using var up = client.StreamingInputCall();
        for (var i = 0; i < 10; i++)
            await up.RequestStream.WriteAsync(new StreamingInputCallRequest { Payload = new Payload { Body = Google.Protobuf.ByteString.CopyFrom(new byte[10000]) } });
        await up.RequestStream.CompleteAsync();
        Assert.Equal(100_000, (await up).AggregatedPayloadSize);
        using var down = client.StreamingOutputCall(new StreamingOutputCallRequest { ResponseParameters = { new ResponseParameters { Size = 5 }, new ResponseParameters { Size = 50000 } } });
        var sizes = new List<int>();
        await foreach (var r in down.ResponseStream.ReadAllAsync()) sizes.Add(r.Payload.Body.Length);
        Assert.Equal([5, 50000], sizes);
        using var both = client.FullDuplexCall();
        for (var i = 1; i < 5; i++)
        {
            await both.RequestStream.WriteAsync(new StreamingOutputCallRequest { ResponseParameters = { new ResponseParameters { Size = i } } });
            Assert.True(await both.ResponseStream.MoveNext(default));
            Assert.Equal(i, both.ResponseStream.Current.Payload.Body.Length);
        }
        await both.RequestStream.CompleteAsync();
        Assert.False(await both.ResponseStream.MoveNext(default));
        var e = await Assert.ThrowsAsync<RpcException>(() => client.UnimplementedCallAsync(new Empty()).ResponseAsync);
        Assert.Equal(StatusCode.Unimplemented, e.StatusCode);
    }
}
