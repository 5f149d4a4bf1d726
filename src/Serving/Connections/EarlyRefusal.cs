using KdServing.Serving.Ranking;

namespace KdServing.Serving.Connections;

/// <summary>Refuses the ranking calls that <see cref="RankingConnection"/> had to let pass, before their message is read.</summary>
/// <remarks>What gets past here is judged again when it is decoded.</remarks>
public sealed class EarlyRefusal(RequestDelegate next, Refusals refusals)
{
    public Task InvokeAsync(HttpContext context)
    {
        var isRank = string.Equals(context.Request.Path.Value, Refusals.RankPath, StringComparison.Ordinal);
        var refusal = isRank ? refusals.IfFull() : null;
        // It was let pass as if it were to be ranked.
        if (refusal is not null || !isRank)
            refusals.Unexpect();
        if (refusal is null)
            return next(context);
        var headers = context.Response.Headers;
        headers.ContentType = CallFrames.ContentType;
        headers.GrpcStatus = Refusal.Status;
        headers.GrpcMessage = refusal.Message;
        headers[OverloadException.PushbackTrailer] = refusal.Pushback;
        refusals.Count();
        return Task.CompletedTask;
    }
}
