using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Net.Client;
using KdServing.Compat.Tests.Interop;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Compat.Tests;

/// <summary>A server whose handlers a test writes, with a channel to it.</summary>
public sealed class ScriptedServer : IAsyncDisposable
{
    private readonly ScriptedService _service;

    private ScriptedServer(GrpcServer server, ScriptedService service, GrpcChannelOptions options)
    {
        Server = server;
        _service = service;
        Channel = GrpcChannel.ForAddress(server.Address, options);
        Client = new TestService.TestServiceClient(Channel);
    }

    public GrpcServer Server { get; }

    public GrpcChannel Channel { get; }

    public TestService.TestServiceClient Client { get; }

    public Func<SimpleRequest, ServerCallContext, Task<SimpleResponse>> Unary
    {
        set => _service.Unary = value;
    }

    public Func<IAsyncStreamReader<StreamingInputCallRequest>, ServerCallContext, Task<StreamingInputCallResponse>> ClientStreaming
    {
        set => _service.ClientStreaming = value;
    }

    public Func<StreamingOutputCallRequest, IServerStreamWriter<StreamingOutputCallResponse>, ServerCallContext, Task> ServerStreaming
    {
        set => _service.ServerStreaming = value;
    }

    public Func<IAsyncStreamReader<StreamingOutputCallRequest>, IServerStreamWriter<StreamingOutputCallResponse>, ServerCallContext, Task> Duplex
    {
        set => _service.Duplex = value;
    }

    public static async Task<ScriptedServer> StartAsync(
        Action<GrpcServiceOptions>? configureServer = null, Action<GrpcChannelOptions>? configureChannel = null)
    {
        var service = new ScriptedService();
        var server = await GrpcServer.StartAsync(
            services => services.AddSingleton(service).AddGrpc(configureServer ?? (_ => { })),
            application => application.MapGrpcService<ScriptedService>());
        var options = new GrpcChannelOptions();
        configureChannel?.Invoke(options);
        return new ScriptedServer(server, service, options);
    }

    /// <summary>Calls the unary method and returns how it failed.</summary>
    public Task<RpcException> FailAsync(SimpleRequest? request = null, CallOptions options = default) =>
        Assert.ThrowsAsync<RpcException>(() => Client.UnaryCallAsync(request ?? new SimpleRequest(), options).ResponseAsync);

    public async ValueTask DisposeAsync()
    {
        Channel.Dispose();
        await Server.DisposeAsync();
    }

    private sealed class ScriptedService : TestService.TestServiceBase
    {
        public Func<SimpleRequest, ServerCallContext, Task<SimpleResponse>> Unary { get; set; } =
            (_, _) => Task.FromResult(new SimpleResponse());

        public Func<IAsyncStreamReader<StreamingInputCallRequest>, ServerCallContext, Task<StreamingInputCallResponse>>? ClientStreaming { get; set; }

        public Func<StreamingOutputCallRequest, IServerStreamWriter<StreamingOutputCallResponse>, ServerCallContext, Task>? ServerStreaming { get; set; }

        public Func<IAsyncStreamReader<StreamingOutputCallRequest>, IServerStreamWriter<StreamingOutputCallResponse>, ServerCallContext, Task>? Duplex { get; set; }

        public override Task<SimpleResponse> UnaryCall(SimpleRequest request, ServerCallContext context) => Unary(request, context);

        public override Task<StreamingInputCallResponse> StreamingInputCall(
            IAsyncStreamReader<StreamingInputCallRequest> requestStream, ServerCallContext context) => ClientStreaming!(requestStream, context);

        public override Task StreamingOutputCall(
            StreamingOutputCallRequest request, IServerStreamWriter<StreamingOutputCallResponse> responseStream, ServerCallContext context) =>
            ServerStreaming!(request, responseStream, context);

        public override Task FullDuplexCall(
            IAsyncStreamReader<StreamingOutputCallRequest> requestStream,
            IServerStreamWriter<StreamingOutputCallResponse> responseStream,
            ServerCallContext context) => Duplex!(requestStream, responseStream, context);
    }
}
