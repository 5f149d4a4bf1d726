using System.Text;

namespace KdServing.LoadTests.Chaos;

/// <summary>Bytes of protobuf fields, written by number: for messages that no schema of ours knows.</summary>
internal static class Protobuf
{
    /// <summary>A field of bytes, text or a nested message.</summary>
    public static byte[] Field(int number, params ReadOnlySpan<byte> content) => [.. Varint(((ulong)number << 3) | 2), .. Varint((ulong)content.Length), .. content];

    public static byte[] Field(int number, string text) => Field(number, Encoding.UTF8.GetBytes(text));

    public static byte[] Number(int number, ulong value) => [.. Varint((ulong)number << 3), .. Varint(value)];

    private static byte[] Varint(ulong value)
    {
        var bytes = new List<byte>();
        for (; value >= 0x80; value >>= 7)
            bytes.Add((byte)(value | 0x80));
        bytes.Add((byte)value);
        return [.. bytes];
    }
}
