using Grpc.Core;
using Grpc.Net.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.Logging;

namespace Grpc.AspNetCore.Server.Internal.CallHandlers;

/// <summary>What serving a call has in common whatever its shape. One instance a method, shared by its calls.</summary>
internal abstract class ServerCallHandler<TRequest, TResponse>(
    Method<TRequest, TResponse> method, MethodSettings settings, ILogger logger)
    where TRequest : class
    where TResponse : class
{
    protected Method<TRequest, TResponse> Method => method;

    /// <summary>Serves one HTTP request.</summary>
    public Task HandleCallAsync(HttpContext httpContext)
    {
        if (!RequestCheck.Accepts(httpContext, logger))
            return Task.CompletedTask;

        LiftTransportLimits(httpContext);
        return HandleAcceptedCallAsync(new HttpContextServerCallContext(httpContext, method, settings, logger));
    }

    /// <summary>Reads, calls the service, writes. Exceptions become the status of the call.</summary>
    protected abstract Task HandleCallCoreAsync(HttpContextServerCallContext call);

    private async Task HandleAcceptedCallAsync(HttpContextServerCallContext call)
    {
        try
        {
            call.Start();
            await HandleCallCoreAsync(call);
            call.End();
        }
        catch (Exception exception)
        {
            call.End(exception);
        }

        await call.StopDeadlineAsync();
    }

    /// <summary>
    /// Leaves the size to the limit of a message, which answers with a status. A stream may be slow and long on purpose.
    /// </summary>
    private void LiftTransportLimits(HttpContext httpContext)
    {
        var isStream = method.Type is MethodType.ClientStreaming or MethodType.DuplexStreaming;
        if (httpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } bodySize
            && (isStream || !(settings.MaxReceiveMessageSize < bodySize.MaxRequestBodySize - FrameHeader.Size)))
            bodySize.MaxRequestBodySize = null;
        if (isStream && httpContext.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } dataRate)
            dataRate.MinDataRate = null;
    }
}
