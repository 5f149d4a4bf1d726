using Grpc.Core;

namespace Grpc.Net.Common;

/// <summary>The values of headers whose names end in <c>-bin</c>.</summary>
internal static class BinaryHeader
{
    public static string Encode(ReadOnlySpan<byte> value) => Convert.ToBase64String(value);

    /// <summary>Adds the values of a header, which may be joined by commas and may lack their padding.</summary>
    /// <exception cref="RpcException">INTERNAL when a value is not base64.</exception>
    public static void AddTo(Metadata metadata, string key, string values)
    {
        foreach (var range in values.AsSpan().Split(','))
            metadata.Add(key, Decode(key, values.AsSpan(range).Trim()));
    }

    private static byte[] Decode(string key, ReadOnlySpan<char> value)
    {
        value = value.TrimEnd('=');
        var padded = string.Concat(value, "===".AsSpan(0, (4 - value.Length % 4) % 4));
        try
        {
            return Convert.FromBase64String(padded);
        }
        catch (FormatException exception)
        {
            throw new RpcException(new Status(StatusCode.Internal, $"The header '{key}' is not base64.", exception));
        }
    }
}
