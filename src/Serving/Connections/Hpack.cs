using System.Text;

namespace KdServing.Serving.Connections;

/// <summary>Numbers and texts of header blocks (HPACK, RFC 7541, section 5). The load tester compiles it too.</summary>
internal static class Hpack
{
    private const byte NewName = 0; // section 6.2.2
    private const int TextBits = 7;
    private const byte CompressedText = 0x80;

    /// <summary>Reads a number of at most 28 bits behind its prefix.</summary>
    /// <param name="block">What follows the number, afterwards.</param>
    /// <param name="prefixBits">Bits of the first byte that are the number's.</param>
    /// <returns>False: the block ends within it, or it is larger.</returns>
    public static bool TryInteger(ref ReadOnlySpan<byte> block, int prefixBits, out int value)
    {
        value = 0;
        if (block.IsEmpty)
            return false;
        var mask = (1 << prefixBits) - 1;
        value = block[0] & mask;
        block = block[1..];
        if (value < mask)
            return true;
        for (var shift = 0; shift <= 21 && !block.IsEmpty; shift += 7)
        {
            var next = block[0];
            block = block[1..];
            value += (next & 0x7f) << shift;
            if ((next & 0x80) == 0)
                return true;
        }
        return false;
    }

    /// <summary>Reads a text as it is sent.</summary>
    /// <param name="isCompressed">It is in the code of appendix B.</param>
    /// <inheritdoc cref="TryInteger"/>
    public static bool TryText(ref ReadOnlySpan<byte> block, out ReadOnlySpan<byte> text, out bool isCompressed)
    {
        text = default;
        isCompressed = !block.IsEmpty && (block[0] & CompressedText) != 0;
        if (!TryInteger(ref block, TextBits, out var length) || length > block.Length)
            return false;
        text = block[..length];
        block = block[length..];
        return true;
    }

    /// <summary>Adds an ASCII text, not compressed.</summary>
    public static void AddText(List<byte> block, string text)
    {
        const int Mask = (1 << TextBits) - 1;
        var rest = text.Length - Mask;
        block.Add((byte)Math.Min(text.Length, Mask));
        for (; rest >= 0x80; rest >>= 7)
            block.Add((byte)(rest | 0x80));
        if (rest >= 0)
            block.Add((byte)rest);
        block.AddRange(Encoding.ASCII.GetBytes(text));
    }

    /// <summary>Adds a literal whose name is spelt out and that no table keeps.</summary>
    public static void AddLiteral(List<byte> block, string name, string value)
    {
        block.Add(NewName);
        AddText(block, name);
        AddText(block, value);
    }
}
