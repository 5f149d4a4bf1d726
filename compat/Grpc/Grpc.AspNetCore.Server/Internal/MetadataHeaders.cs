using System.Diagnostics.CodeAnalysis;
using Grpc.Core;
using Grpc.Net.Common;
using Microsoft.AspNetCore.Http;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>HTTP headers as metadata, and back.</summary>
internal static class MetadataHeaders
{
    public static Metadata Read(IHeaderDictionary headers)
    {
        var metadata = new Metadata();
        foreach (var (name, values) in headers)
        {
            if (name.StartsWith(':'))
                continue;

            foreach (var value in values)
                if (name.EndsWith(Metadata.BinaryHeaderSuffix, StringComparison.OrdinalIgnoreCase))
                    BinaryHeader.AddTo(metadata, name, value ?? "");
                else
                    metadata.Add(name, value ?? "");
        }

        return metadata.Freeze();
    }

    public static void Append(IHeaderDictionary headers, Metadata metadata)
    {
        foreach (var entry in metadata)
            headers.Append(entry.Key, entry.IsBinary ? BinaryHeader.Encode(entry.BinaryValue) : entry.Value);
    }

    /// <summary>Appends trailers; false, with the reason, when one of them can not travel in HTTP.</summary>
    public static bool TryAppend(IHeaderDictionary headers, Metadata metadata, [NotNullWhen(false)] out string? reason)
    {
        try
        {
            Append(headers, metadata);
            reason = null;
            return true;
        }
        catch (InvalidOperationException exception)
        {
            reason = $"A response trailer is not valid: {exception.Message}";
            return false;
        }
    }
}
