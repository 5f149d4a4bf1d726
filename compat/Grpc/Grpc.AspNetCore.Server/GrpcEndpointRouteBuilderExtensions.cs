using Grpc.AspNetCore.Server;
using Grpc.AspNetCore.Server.Internal;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Maps gRPC services to endpoints.</summary>
public static class GrpcEndpointRouteBuilderExtensions
{
    /// <summary>
    /// Maps the methods of a service. The container makes the service, in the lifetime it was registered with; a type that
    /// was not registered is made for every call.
    /// </summary>
    public static GrpcServiceEndpointConventionBuilder MapGrpcService<TService>(this IEndpointRouteBuilder builder)
        where TService : class
    {
        ArgumentNullException.ThrowIfNull(builder);
        var unknownCalls = builder.ServiceProvider.GetService<UnknownCallEndpoints>() ?? throw new InvalidOperationException(
            "The container has no gRPC services. Call 'IServiceCollection.AddGrpc' before the application is built.");
        var serviceMethods = new ServiceMethodBinder<TService>(builder);
        serviceMethods.Bind();
        unknownCalls.MapUnknownMethods(builder, serviceMethods.ServiceName);
        unknownCalls.MapUnknownServices(builder);
        return new GrpcServiceEndpointConventionBuilder(serviceMethods.Endpoints);
    }
}
