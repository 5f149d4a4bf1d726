using System.Globalization;
using Grpc.Core;
using KdServing.Serving.Ranking;
using Microsoft.Extensions.Primitives;

namespace KdServing.Serving.Connections;

/// <summary>What is said to a ranking request that would wait so long: headers alone, as gRPC has it for errors before a message ("Trailers-Only").</summary>
internal sealed class Refusal
{
    public static readonly string Status = ((int)StatusCode.ResourceExhausted).ToString(CultureInfo.InvariantCulture);

    public Refusal(double waitMs)
    {
        WaitMs = waitMs;
        Message = OverloadException.Words(waitMs);
        Pushback = waitMs.ToString(CultureInfo.InvariantCulture);
        Frame = CallFrames.Failure(StatusCode.ResourceExhausted, Message!, [new(OverloadException.PushbackTrailer, Pushback!)]);
    }

    /// <summary>Whole milliseconds.</summary>
    public double WaitMs { get; }

    public StringValues Message { get; }

    /// <summary>For <see cref="OverloadException.PushbackTrailer"/>.</summary>
    public StringValues Pushback { get; }

    /// <summary>A HEADERS frame that ends stream 0; the stream's number is written over it.</summary>
    public byte[] Frame { get; }
}
