using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using KdServing.Compat.Tests.Interop;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Compat.Tests;

/// <summary>Where services and interceptors come from, and in which order interceptors see a call.</summary>
public sealed class ServiceLifetimeTests
{
    [Theory]
    [InlineData(null, 2, 2)]
    [InlineData(ServiceLifetime.Transient, 2, 2)]
    [InlineData(ServiceLifetime.Scoped, 2, 2)]
    [InlineData(ServiceLifetime.Singleton, 1, 0)]
    public async Task A_service_lives_as_long_as_the_container_says(ServiceLifetime? lifetime, int made, int disposed)
    {
        var journal = new Journal();
        await using var server = await GrpcServer.StartAsync(
            services =>
            {
                services.AddSingleton(journal).AddGrpc();
                if (lifetime is { } registered)
                    services.Add(new ServiceDescriptor(typeof(CountedService), typeof(CountedService), registered));
            },
            application => application.MapGrpcService<CountedService>());
        await CallTwiceAsync(server);
        Assert.Equal(made, journal.Count("made"));
        Assert.True(SpinWait.SpinUntil(() => journal.Count("disposed") == disposed, TimeSpan.FromSeconds(5)));
    }

    [Fact]
    public async Task Interceptors_see_a_call_in_the_order_of_their_registration()
    {
        var journal = new Journal();
        await using var server = await GrpcServer.StartAsync(
            services => services.AddSingleton(journal).AddGrpc(options =>
            {
                options.Interceptors.Add<NamedInterceptor>("first");
                options.Interceptors.Add<NamedInterceptor>("second");
            }).AddServiceOptions<CountedService>(options => options.Interceptors.Add(typeof(NamedInterceptor), "third")),
            application => application.MapGrpcService<CountedService>());
        using var channel = GrpcChannel.ForAddress(server.Address);
        var invoker = channel.Intercept(new NamedInterceptor("outer", journal), new NamedInterceptor("inner", journal));
        await new TestService.TestServiceClient(invoker).EmptyCallAsync(new Empty());
        Assert.Equal(["outer", "inner", "first", "second", "third", "made", "disposed"], journal.Entries);
    }

    [Fact]
    public async Task Options_of_a_service_differ_from_those_of_the_others()
    {
        await using var server = await GrpcServer.StartAsync(
            services => services.AddSingleton(new Journal())
                .AddGrpc(options => options.EnableDetailedErrors = true)
                .AddServiceOptions<CountedService>(options => options.MaxReceiveMessageSize = 10),
            application => application.MapGrpcService<CountedService>());
        using var channel = GrpcChannel.ForAddress(server.Address);
        var client = new TestService.TestServiceClient(channel);
        var request = new SimpleRequest { ResponseStatus = new EchoStatus { Message = "longer than ten bytes" } };
        var tooLarge = await Assert.ThrowsAsync<RpcException>(() => client.UnaryCallAsync(request).ResponseAsync);
        Assert.Equal(StatusCode.ResourceExhausted, tooLarge.StatusCode);
        var detailed = await Assert.ThrowsAsync<RpcException>(() => client.UnaryCallAsync(new SimpleRequest()).ResponseAsync);
        Assert.EndsWith("NotSupportedException: on purpose", detailed.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_headers_can_be_changed_on_the_way_out()
    {
        await using var server = await ScriptedServer.StartAsync();
        string? received = null;
        server.Unary = (_, context) =>
        {
            received = context.RequestHeaders.GetValue("x-tenant");
            return Task.FromResult(new SimpleResponse());
        };
        var invoker = server.Channel.Intercept(headers => [.. headers, new Metadata.Entry("x-tenant", "7")]);
        await new TestService.TestServiceClient(invoker).UnaryCallAsync(new SimpleRequest());
        Assert.Equal("7", received);
    }

    [Fact]
    public async Task A_call_can_name_another_host_and_reach_its_HTTP_request()
    {
        await using var server = await ScriptedServer.StartAsync();
        (string Host, string Protocol, string Peer, string Method)? seen = null;
        server.Unary = (_, context) =>
        {
            seen = (context.Host, context.GetHttpContext().Request.Protocol, context.Peer, context.Method);
            return Task.FromResult(new SimpleResponse());
        };
        await server.Client.WithHost("ranking.internal").UnaryCallAsync(new SimpleRequest());
        Assert.Equal(("ranking.internal", "HTTP/2", RawHttp2.UnaryCall), (seen?.Host, seen?.Protocol, seen?.Method));
        Assert.StartsWith("ipv4:127.0.0.1:", seen?.Peer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_service_without_AddGrpc_says_what_is_missing()
    {
        var exception = await Assert.ThrowsAsync<InvalidOperationException>(
            () => GrpcServer.StartAsync(_ => { }, application => application.MapGrpcService<CountedService>()));
        Assert.Contains("AddGrpc", exception.Message, StringComparison.Ordinal);
    }

    private static async Task CallTwiceAsync(GrpcServer server)
    {
        using var channel = GrpcChannel.ForAddress(server.Address);
        var client = new TestService.TestServiceClient(channel);
        await client.EmptyCallAsync(new Empty());
        await client.EmptyCallAsync(new Empty());
    }

    private sealed class Journal
    {
        private readonly List<string> _entries = [];

        public IReadOnlyList<string> Entries
        {
            get
            {
                lock (_entries)
                    return [.. _entries];
            }
        }

        public void Add(string entry)
        {
            lock (_entries)
                _entries.Add(entry);
        }

        public int Count(string entry) => Entries.Count(other => other == entry);
    }

    private sealed class CountedService : TestService.TestServiceBase, IDisposable
    {
        private readonly Journal _journal;

        public CountedService(Journal journal)
        {
            _journal = journal;
            journal.Add("made");
        }

        public override Task<Empty> EmptyCall(Empty request, ServerCallContext context) => Task.FromResult(new Empty());

        public override Task<SimpleResponse> UnaryCall(SimpleRequest request, ServerCallContext context) =>
            throw new NotSupportedException("on purpose");

        public void Dispose() => _journal.Add("disposed");
    }

    private sealed class NamedInterceptor(string name, Journal journal) : Interceptor
    {
        public override Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
            TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
        {
            journal.Add(name);
            return continuation(request, context);
        }

        public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
            TRequest request,
            ClientInterceptorContext<TRequest, TResponse> context,
            AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
        {
            journal.Add(name);
            return continuation(request, context);
        }
    }
}
