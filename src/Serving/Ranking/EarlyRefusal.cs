using System.Globalization;
using Grpc.Core;
using KdServing.Serving.Status;
using Microsoft.Extensions.Primitives;

namespace KdServing.Serving.Ranking;

/// <summary>Refuses ranking calls before their message is read, while the line of <see cref="AdmissionGate"/> is too long in time.</summary>
/// <remarks>
/// Under overload most requests are refused; reading and decoding them first would take the time of those that are served. The answer is
/// headers alone, as gRPC has it for errors before a message ("Trailers-Only"), in words made once for all requests that would wait as long.
/// What gets past here is judged again when it is decoded.
/// </remarks>
public sealed class EarlyRefusal(RequestDelegate next, AdmissionGate gate, RankingMetrics metrics)
{
    private static readonly string RankPath = $"/{Contracts.Ranking.Descriptor.FullName}/Rank";
    private static readonly StringValues ContentType = "application/grpc";
    private static readonly StringValues ResourceExhausted = ((int)StatusCode.ResourceExhausted).ToString(CultureInfo.InvariantCulture);

    private Words words = new(0);

    public Task InvokeAsync(HttpContext context)
    {
        if (!gate.IsFull(out var expectedMs) || !string.Equals(context.Request.Path.Value, RankPath, StringComparison.Ordinal))
            return next(context);
        // Read and replaced without a lock: whoever loses a race has made the same words.
        var answer = words;
        if (answer.WaitMs != Math.Ceiling(expectedMs))
            words = answer = new(Math.Ceiling(expectedMs));
        var headers = context.Response.Headers;
        headers.ContentType = ContentType;
        headers.GrpcStatus = ResourceExhausted;
        headers.GrpcMessage = answer.Message;
        headers[OverloadException.PushbackTrailer] = answer.Pushback;
        metrics.Answered(StatusCode.ResourceExhausted, 0, TimeSpan.Zero);
        return Task.CompletedTask;
    }

    /// <summary>What is said to a request that would wait so long, milliseconds.</summary>
    private sealed class Words(double waitMs)
    {
        public double WaitMs { get; } = waitMs;

        public StringValues Message { get; } = OverloadException.Words(waitMs);

        public StringValues Pushback { get; } = waitMs.ToString(CultureInfo.InvariantCulture);
    }
}
