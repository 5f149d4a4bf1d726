using Grpc.Core;
using Grpc.Net.Common;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>Answers calls of methods and services that are not mapped with UNIMPLEMENTED.</summary>
internal sealed class UnknownCallEndpoints(IOptions<GrpcServiceOptions> options, ILogger<UnknownCallEndpoints> logger)
{
    private readonly HashSet<string> _mappedServices = [];
    private bool _isUnknownServiceMapped;

    public void MapUnknownMethods(IEndpointRouteBuilder builder, string serviceName)
    {
        if (_mappedServices.Add(serviceName))
            Map(builder, $"{serviceName}/{{method:{GrpcRequestConstraint.Name}}}", "Method is unimplemented.");
    }

    public void MapUnknownServices(IEndpointRouteBuilder builder)
    {
        if (_isUnknownServiceMapped || options.Value.IgnoreUnknownServices == true)
            return;

        _isUnknownServiceMapped = true;
        Map(builder, $"{{service}}/{{method:{GrpcRequestConstraint.Name}}}", "Service is unimplemented.");
    }

    private void Map(IEndpointRouteBuilder builder, string pattern, string detail) =>
        builder.MapPost(pattern, context =>
        {
            GrpcServerLog.CallUnimplemented(logger, context.Request.Path, detail);
            context.Response.ContentType = GrpcProtocol.ContentType;
            StatusTrailers.Write(context.Response.Headers, new Status(StatusCode.Unimplemented, detail));
            return Task.CompletedTask;
        }).WithDisplayName($"gRPC - {detail}");
}
