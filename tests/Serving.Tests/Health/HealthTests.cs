using Grpc.Core;
using Grpc.Health.V1;
using HealthStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace KdServing.Serving.Tests.Health;

/// <summary>grpc.health.v1 as its document says, with the model as what is healthy.</summary>
public sealed class HealthTests
{
    [Theory]
    [InlineData("", HealthStatus.NotServing, HealthStatus.Serving)]
    [InlineData("kdserving.v1.Ranking", HealthStatus.NotServing, HealthStatus.Serving)]
    [InlineData("grpc.health.v1.Health", HealthStatus.NotServing, HealthStatus.Serving)]
    [InlineData("kdserving.v1.ranking", null, null)]
    [InlineData("nonsense", null, null)]
    public async Task Check_knows_services_and_whether_there_is_a_model(string service, HealthStatus? before, HealthStatus? after)
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample: null);
        var client = new Grpc.Health.V1.Health.HealthClient(server.Channel);
        Assert.Equal(before, await CheckAsync(client, service));
        sample.Publish(server.Repository);
        await server.ServesAsync(1);
        Assert.Equal(after, await CheckAsync(client, service));
    }

    [Fact]
    public async Task Watch_tells_changes_and_the_end()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample: null);
        using var watch = new Grpc.Health.V1.Health.HealthClient(server.Channel).Watch(new() { Service = "" });
        Assert.Equal(HealthStatus.NotServing, await NextAsync(watch));
        sample.Publish(server.Repository);
        Assert.Equal(HealthStatus.Serving, await NextAsync(watch));
        // A stopping server says so before it goes.
        var stopped = server.Host.StopAsync();
        Assert.Equal(HealthStatus.NotServing, await NextAsync(watch));
        Assert.False(await watch.ResponseStream.MoveNext(CancellationToken.None));
        await stopped;
    }

    [Fact]
    public async Task Watch_of_an_unknown_service_stays_open()
    {
        await using var server = await RunningServer.StartAsync(sample: null);
        using var watch = new Grpc.Health.V1.Health.HealthClient(server.Channel).Watch(new() { Service = "nonsense" });
        Assert.Equal(HealthStatus.ServiceUnknown, await NextAsync(watch));
        var next = watch.ResponseStream.MoveNext(CancellationToken.None);
        Assert.False(next.IsCompleted);
        await server.Host.StopAsync();
        Assert.False(await next);
    }

    private static async Task<HealthStatus?> CheckAsync(Grpc.Health.V1.Health.HealthClient client, string service)
    {
        try
        {
            return (await client.CheckAsync(new() { Service = service })).Status;
        }
        catch (RpcException e)
        {
            Assert.Equal(StatusCode.NotFound, e.StatusCode);
            return null;
        }
    }

    private static async Task<HealthStatus> NextAsync(AsyncServerStreamingCall<HealthCheckResponse> watch)
    {
        Assert.True(await watch.ResponseStream.MoveNext(CancellationToken.None));
        return watch.ResponseStream.Current.Status;
    }
}
