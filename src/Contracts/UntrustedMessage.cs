using System.Diagnostics.CodeAnalysis;
using Google.Protobuf;

namespace KdServing.Contracts;

/// <summary>Parses protobuf bytes that anybody may have written.</summary>
/// <remarks>
/// Google.Protobuf 3.25.1 throws <see cref="IndexOutOfRangeException"/>, not its own exception, at an unknown 64-bit field that is cut short at
/// the end of a message (found by fuzzing; <c>UnknownFieldSet.MergeFieldFrom</c>). One such stream entry would end a Distiller, and again
/// after each restart.
/// </remarks>
public static class UntrustedMessage
{
    /// <summary>False when the bytes are not such a message.</summary>
    public static bool TryParse<T>(MessageParser<T> parser, ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out T? message)
        where T : class, IMessage<T>
    {
        try
        {
            message = parser.ParseFrom(bytes);
            return true;
        }
        catch (Exception e) when (IsMalformed(e))
        {
            message = null;
            return false;
        }
    }

    /// <summary>Whether a parser of protobuf threw this because of the bytes it was given.</summary>
    public static bool IsMalformed(Exception e) => e is InvalidProtocolBufferException or IndexOutOfRangeException or ArgumentException;
}
