using System.Net;
using System.Net.Sockets;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Configuration;
using KdServing.Compat.Tests.Interop;
using KdServing.Compat.Tests.Peers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Compat.Tests;

/// <summary>Channels: what they connect to, what they refuse.</summary>
public sealed class ChannelTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task A_refused_connection_is_unavailable()
    {
        using var channel = GrpcChannel.ForAddress($"http://127.0.0.1:{FreePort()}");
        var client = new TestService.TestServiceClient(channel);
        var failure = await Assert.ThrowsAsync<RpcException>(() => client.EmptyCallAsync(new Empty()).ResponseAsync);
        Assert.Equal(StatusCode.Unavailable, failure.StatusCode);
        Assert.Contains("refused", failure.Status.Detail, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(ConnectivityState.TransientFailure, channel.State);
    }

    [Fact]
    public async Task Connecting_is_possible_before_the_first_call_and_used_by_it()
    {
        await using var server = await GrpcServer.StartAsync<InteropService>();
        using var channel = GrpcChannel.ForAddress(server.Address);
        Assert.Equal(ConnectivityState.Idle, channel.State);
        var changed = channel.WaitForStateChangedAsync(ConnectivityState.Idle);
        await channel.ConnectAsync().WaitAsync(Patience);
        await changed.WaitAsync(Patience);
        Assert.Equal(ConnectivityState.Ready, channel.State);
        await new TestService.TestServiceClient(channel).EmptyCallAsync(new Empty());
        Assert.Equal(ConnectivityState.Ready, channel.State);
    }

    [Fact]
    public async Task Connecting_waits_for_a_server_that_comes_later()
    {
        var port = FreePort();
        using var channel = GrpcChannel.ForAddress(
            $"http://127.0.0.1:{port}", new GrpcChannelOptions { InitialReconnectBackoff = TimeSpan.FromMilliseconds(20) });
        var client = new TestService.TestServiceClient(channel);
        var call = client.EmptyCallAsync(new Empty(), new CallOptions(deadline: DateTime.UtcNow.AddSeconds(10)).WithWaitForReady());
        while (channel.State != ConnectivityState.TransientFailure)
            await channel.WaitForStateChangedAsync(channel.State).WaitAsync(Patience);

        using var listener = new TcpListener(IPAddress.Loopback, port);
        listener.Start();
        using var connection = await listener.AcceptTcpClientAsync().WaitAsync(Patience);
        var preface = new byte[24];
        await connection.GetStream().ReadExactlyAsync(preface).AsTask().WaitAsync(Patience);
        Assert.Equal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray(), preface);
        call.Dispose();
    }

    [Fact]
    public async Task A_connection_that_breaks_in_a_call_is_unavailable()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var channel = GrpcChannel.ForAddress($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");
        var client = new TestService.TestServiceClient(channel);
        using var call = client.EmptyCallAsync(new Empty());
        using (var connection = await listener.AcceptTcpClientAsync().WaitAsync(Patience))
            Assert.NotEqual(0, await connection.GetStream().ReadAsync(new byte[1]));

        var failure = await Assert.ThrowsAsync<RpcException>(() => call.ResponseAsync.WaitAsync(Patience));
        Assert.Equal(StatusCode.Unavailable, failure.StatusCode);
    }

    [Fact]
    public async Task A_handler_of_its_own_can_take_another_transport()
    {
        var path = Path.Combine(Directory.CreateTempSubdirectory("kd-grpc-").FullName, "s");
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(path, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddGrpc();
        await using var application = builder.Build();
        application.MapGrpcService<InteropService>();
        await application.StartAsync();

        var handler = new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancellationToken) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            },
        };
        using var channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true });
        await new TestService.TestServiceClient(channel).EmptyCallAsync(new Empty());
        Assert.Throws<InvalidOperationException>(() => channel.State);
        await Assert.ThrowsAsync<InvalidOperationException>(() => channel.ConnectAsync());
        Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
    }

    [Fact]
    public async Task A_client_of_its_own_streams_too()
    {
        await using var server = await GrpcServer.StartAsync<InteropService>();
        using var http = new HttpClient();
        using var channel = GrpcChannel.ForAddress(server.Address, new GrpcChannelOptions { HttpClient = http });
        await new InteropCases(channel).RunAsync("ping_pong");
    }

    [Theory]
    [InlineData("dns:///localhost:1")]
    [InlineData("unix:///tmp/s")]
    [InlineData("ftp://localhost")]
    public void Other_schemes_are_refused(string address) =>
        Assert.Contains("http or https", Assert.Throws<InvalidOperationException>(() => GrpcChannel.ForAddress(address)).Message, StringComparison.Ordinal);

    [Fact]
    public void Credentials_must_fit_the_scheme()
    {
        Assert.Throws<InvalidOperationException>(() => GrpcChannel.ForAddress("http://localhost", With(ChannelCredentials.SecureSsl)));
        Assert.Throws<InvalidOperationException>(() => GrpcChannel.ForAddress("https://localhost", With(ChannelCredentials.Insecure)));
        Assert.Throws<InvalidOperationException>(() => GrpcChannel.ForAddress("https://localhost", With(new SslCredentials("-----BEGIN"))));
        GrpcChannel.ForAddress("https://localhost", With(ChannelCredentials.SecureSsl)).Dispose();

        static GrpcChannelOptions With(ChannelCredentials credentials) => new() { Credentials = credentials };
    }

    [Fact]
    public void What_is_not_supported_is_not_ignored()
    {
        Refuse(new ServiceConfig { MethodConfigs = { new MethodConfig { RetryPolicy = new RetryPolicy() } } });
        Refuse(new ServiceConfig { MethodConfigs = { new MethodConfig { HedgingPolicy = new HedgingPolicy() } } });
        Refuse(new ServiceConfig { RetryThrottling = new RetryThrottlingPolicy() });
        Assert.Throws<ArgumentException>(() => GrpcChannel.ForAddress(
            "http://localhost", new GrpcChannelOptions { HttpClient = new HttpClient(), HttpHandler = new SocketsHttpHandler() }));

        static void Refuse(ServiceConfig config) => Assert.Throws<NotSupportedException>(
            () => GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions { ServiceConfig = config }));
    }

    [Fact]
    public async Task Call_credentials_travel_over_TLS_and_not_without_it()
    {
        await using var server = await ScriptedServer.StartAsync();
        var received = new List<string?>();
        server.Unary = (_, context) =>
        {
            received.Add(context.RequestHeaders.GetValue("authorization"));
            return Task.FromResult(new SimpleResponse());
        };
        var credentials = CallCredentials.FromInterceptor(async (context, metadata) =>
        {
            await Task.Yield();
            metadata.Add("authorization", $"{context.MethodName} of {context.ServiceUrl[^"grpc.testing.TestService".Length..]}");
        });
        await server.Client.UnaryCallAsync(new SimpleRequest(), new CallOptions(credentials: credentials));
        using var unsafeChannel = GrpcChannel.ForAddress(
            server.Server.Address, new GrpcChannelOptions { UnsafeUseInsecureChannelCallCredentials = true });
        await new TestService.TestServiceClient(unsafeChannel).UnaryCallAsync(new SimpleRequest(), new CallOptions(credentials: credentials));
        Assert.Equal([null, "UnaryCall of grpc.testing.TestService"], received);
        Assert.Throws<ArgumentException>(() => ChannelCredentials.Create(ChannelCredentials.Insecure, credentials));
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
