using Google.Protobuf;
using Grpc.Core;

namespace KdServing.Serving.Tests.Hostile;

/// <summary>Bytes that are no request, or a senseless one, are the client's fault and nobody else's trouble.</summary>
public sealed class SpoiltRequestTests
{
    private const int Malformed = 1000;

    private static readonly Marshaller<byte[]> Bytes = Marshallers.Create(b => b, b => b);
    private static readonly Method<byte[], byte[]> Rank = new(MethodType.Unary, "kdserving.v1.Ranking", "Rank", Bytes, Bytes);

    // What is wrong with a request is the client's; a server that says it failed itself has failed.
    private static readonly StatusCode[] Fair =
        [StatusCode.OK, StatusCode.InvalidArgument, StatusCode.FailedPrecondition, StatusCode.NotFound, StatusCode.ResourceExhausted, StatusCode.OutOfRange];

    [Fact]
    public async Task Spoilt_requests_are_the_clients_fault_and_good_ones_are_served_between_them()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        var good = sample.Request(candidates: 10, seed: 1);
        var expected = await server.Client.RankAsync(good);
        var codes = new Dictionary<StatusCode, int>();
        for (var seed = 0; seed < Malformed; seed++)
        {
            var status = await SendAsync(server, HostileBytes.Mutate(good.ToByteArray(), new Random(seed)));
            codes[status.StatusCode] = codes.GetValueOrDefault(status.StatusCode) + 1;
            Assert.True(Fair.Contains(status.StatusCode), $"mutant of seed {seed}: {status}");
            Assert.DoesNotContain(server.Repository.Root, status.Detail, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", status.Detail, StringComparison.Ordinal);
            if (seed % 100 == 0)
                Assert.Equal(expected, await server.Client.RankAsync(good));
        }
        Assert.True(codes.GetValueOrDefault(StatusCode.InvalidArgument) > Malformed / 2, string.Join(", ", codes));
        Assert.Equal(expected, await server.Client.RankAsync(good));
    }

    private static async Task<Grpc.Core.Status> SendAsync(RunningServer server, byte[] request)
    {
        try
        {
            using var call = server.Channel.CreateCallInvoker().AsyncUnaryCall(Rank, null, new(deadline: DateTime.UtcNow.AddSeconds(10)), request);
            await call;
            return Grpc.Core.Status.DefaultSuccess;
        }
        catch (RpcException e)
        {
            return e.Status;
        }
    }
}
