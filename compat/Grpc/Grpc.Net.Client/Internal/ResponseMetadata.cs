using System.Globalization;
using System.Net.Http.Headers;
using Grpc.Core;
using Grpc.Net.Common;

namespace Grpc.Net.Client.Internal;

/// <summary>Reads metadata and status out of the headers or trailers of a response.</summary>
internal static class ResponseMetadata
{
    /// <summary>Everything but what the protocol itself has put there.</summary>
    public static Metadata Read(HttpResponseHeaders headers)
    {
        var metadata = new Metadata();
        foreach (var (name, values) in headers.NonValidated)
        {
            if (name.Equals(GrpcProtocol.Status, StringComparison.OrdinalIgnoreCase)
                || name.Equals(GrpcProtocol.Message, StringComparison.OrdinalIgnoreCase)
                || name.Equals(GrpcProtocol.MessageEncoding, StringComparison.OrdinalIgnoreCase)
                || name.Equals(GrpcProtocol.MessageAcceptEncoding, StringComparison.OrdinalIgnoreCase))
                continue;

            foreach (var value in values)
                if (name.EndsWith(Metadata.BinaryHeaderSuffix, StringComparison.OrdinalIgnoreCase))
                    BinaryHeader.AddTo(metadata, name, value);
                else
                    metadata.Add(name, value);
        }

        return metadata.Freeze();
    }

    /// <summary>Null where there is no <c>grpc-status</c>.</summary>
    public static Status? ReadStatus(HttpResponseHeaders headers)
    {
        if (Find(headers, GrpcProtocol.Status) is not { } code)
            return null;

        var detail = Find(headers, GrpcProtocol.Message) is { } message ? StatusMessage.Decode(message) : "";
        return int.TryParse(code, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? new Status(Enum.IsDefined((StatusCode)number) ? (StatusCode)number : StatusCode.Unknown, detail)
            : new Status(StatusCode.Unknown, $"The grpc-status '{code}' is not a number. {detail}");
    }

    public static string? ReadEncoding(HttpResponseHeaders headers) => Find(headers, GrpcProtocol.MessageEncoding);

    private static string? Find(HttpResponseHeaders headers, string name)
    {
        if (!headers.NonValidated.TryGetValues(name, out var values))
            return null;

        foreach (var value in values)
            return value;

        return null;
    }
}
