using System.Globalization;
using Grpc.Core;
using KdServing.Serving.Status;

namespace KdServing.Serving.Ranking;

/// <summary>Refuses ranking calls before their message is read, while the line of <see cref="AdmissionGate"/> is too long in time.</summary>
/// <remarks>
/// Under overload most requests are refused; reading and decoding them first would take the time of those that are served. The answer is
/// headers alone, as gRPC has it for errors before a message ("Trailers-Only"). What gets past here is judged again when it is decoded.
/// </remarks>
public sealed class EarlyRefusal(RequestDelegate next, AdmissionGate gate, RankingMetrics metrics)
{
    private static readonly string RankPath = $"/{Contracts.Ranking.Descriptor.FullName}/Rank";

    public Task InvokeAsync(HttpContext context)
    {
        if (!context.Request.Path.Equals(RankPath, StringComparison.Ordinal) || !gate.IsFull(out var expectedMs))
            return next(context);
        var response = context.Response;
        response.ContentType = "application/grpc";
        response.Headers["grpc-status"] = ((int)StatusCode.ResourceExhausted).ToString(CultureInfo.InvariantCulture);
        response.Headers["grpc-message"] = new OverloadException(expectedMs).Message;
        response.Headers[OverloadException.PushbackTrailer] = Math.Ceiling(expectedMs).ToString(CultureInfo.InvariantCulture);
        metrics.Answered(StatusCode.ResourceExhausted, 0, TimeSpan.Zero);
        return Task.CompletedTask;
    }
}
