using System.Reflection;
using Grpc.AspNetCore.Server.Internal.CallHandlers;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>Maps each method that the generated <c>BindService</c> of a service names.</summary>
internal sealed class ServiceMethodBinder<TService> : ServiceBinderBase
    where TService : class
{
    private readonly IEndpointRouteBuilder _builder;
    private readonly List<IEndpointConventionBuilder> _endpoints = [];
    private readonly MethodSettings _settings;
    private readonly ActivatedCalls<TService> _calls;
    private readonly InterceptorPipeline _interceptors;
    private readonly ILogger _logger;
    private string? _serviceName;

    public ServiceMethodBinder(IEndpointRouteBuilder builder)
    {
        _builder = builder;
        var services = builder.ServiceProvider;
        var hasOwnOptions = services.GetService<IConfigureOptions<GrpcServiceOptions<TService>>>() is not null;
        var options = hasOwnOptions
            ? services.GetRequiredService<IOptions<GrpcServiceOptions<TService>>>().Value
            : services.GetRequiredService<IOptions<GrpcServiceOptions>>().Value;
        _settings = new MethodSettings(options);
        _calls = new ActivatedCalls<TService>(new Activation<TService>(services, typeof(TService)));
        _interceptors = new InterceptorPipeline(services, options.Interceptors);
        _logger = services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(TService).FullName ?? typeof(TService).Name);
    }

    public IReadOnlyList<IEndpointConventionBuilder> Endpoints => _endpoints;

    public string ServiceName => _serviceName ?? throw new InvalidOperationException($"{typeof(TService)} has no gRPC method.");

    /// <summary>Calls the generated method that the attribute of the service's base class names.</summary>
    public void Bind()
    {
        for (var type = typeof(TService); type is not null; type = type.BaseType)
            if (type.GetCustomAttribute<BindServiceMethodAttribute>(inherit: false) is { } attribute)
            {
                var bind = attribute.BindType.GetMethod(
                    attribute.BindMethodName, BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static, [typeof(ServiceBinderBase), type]);
                if (bind is null)
                    break;

                bind.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [this, null], null);
                return;
            }

        throw new InvalidOperationException(
            $"{typeof(TService)} is not a gRPC service: derive it from the base class that Grpc.Tools generates.");
    }

    public override void AddMethod<TRequest, TResponse>(
        Method<TRequest, TResponse> method, UnaryServerMethod<TRequest, TResponse>? handler)
    {
        var implementation = FindImplementation(method, typeof(TRequest), typeof(ServerCallContext));
        var call = _interceptors.Wrap(_calls.Unary(
            implementation.CreateDelegate<Func<TService, TRequest, ServerCallContext, Task<TResponse>>>()));
        Map(method, implementation, new UnaryServerCallHandler<TRequest, TResponse>(method, call, _settings, _logger).HandleCallAsync);
    }

    public override void AddMethod<TRequest, TResponse>(
        Method<TRequest, TResponse> method, ClientStreamingServerMethod<TRequest, TResponse>? handler)
    {
        var implementation = FindImplementation(method, typeof(IAsyncStreamReader<TRequest>), typeof(ServerCallContext));
        var call = _interceptors.Wrap(_calls.ClientStreaming(
            implementation.CreateDelegate<Func<TService, IAsyncStreamReader<TRequest>, ServerCallContext, Task<TResponse>>>()));
        Map(method, implementation, new ClientStreamingServerCallHandler<TRequest, TResponse>(method, call, _settings, _logger).HandleCallAsync);
    }

    public override void AddMethod<TRequest, TResponse>(
        Method<TRequest, TResponse> method, ServerStreamingServerMethod<TRequest, TResponse>? handler)
    {
        var implementation = FindImplementation(
            method, typeof(TRequest), typeof(IServerStreamWriter<TResponse>), typeof(ServerCallContext));
        var call = _interceptors.Wrap(_calls.ServerStreaming(
            implementation.CreateDelegate<Func<TService, TRequest, IServerStreamWriter<TResponse>, ServerCallContext, Task>>()));
        Map(method, implementation, new ServerStreamingServerCallHandler<TRequest, TResponse>(method, call, _settings, _logger).HandleCallAsync);
    }

    public override void AddMethod<TRequest, TResponse>(
        Method<TRequest, TResponse> method, DuplexStreamingServerMethod<TRequest, TResponse>? handler)
    {
        var implementation = FindImplementation(
            method, typeof(IAsyncStreamReader<TRequest>), typeof(IServerStreamWriter<TResponse>), typeof(ServerCallContext));
        var call = _interceptors.Wrap(_calls.DuplexStreaming(
            implementation.CreateDelegate<Func<TService, IAsyncStreamReader<TRequest>, IServerStreamWriter<TResponse>, ServerCallContext, Task>>()));
        Map(method, implementation, new DuplexStreamingServerCallHandler<TRequest, TResponse>(method, call, _settings, _logger).HandleCallAsync);
    }

    private static MethodInfo FindImplementation(IMethod method, params Type[] parameters) =>
        typeof(TService).GetMethod(method.Name, BindingFlags.Public | BindingFlags.Instance, parameters)
        ?? throw new InvalidOperationException($"{typeof(TService)} has no public method {method.Name} for {method.FullName}.");

    private void Map(IMethod method, MethodInfo implementation, RequestDelegate handle)
    {
        _serviceName = method.ServiceName;
        if (implementation.DeclaringType?.GetCustomAttribute<BindServiceMethodAttribute>(inherit: false) is not null)
            GrpcServerLog.MethodNotOverridden(_logger, typeof(TService), method.FullName);

        // Attributes come before the conventions of the caller, which may override them.
        var endpoint = _builder.MapPost(method.FullName, handle)
            .WithDisplayName($"gRPC - {method.FullName}")
            .WithMetadata(new GrpcMethodMetadata(typeof(TService), method))
            .WithMetadata(typeof(TService).GetCustomAttributes(inherit: true))
            .WithMetadata(implementation.GetCustomAttributes(inherit: true));
        _endpoints.Add(endpoint);
    }
}
