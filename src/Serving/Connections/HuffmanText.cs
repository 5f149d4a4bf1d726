using System.Text;

namespace KdServing.Serving.Connections;

/// <summary>The code of RFC 7541, appendix B, for the characters that have at most seven bits there: all that names and values of gRPC's headers consist of.</summary>
internal static class HuffmanText
{
    // The code is canonical: characters of as many bits have codes that follow each other, the longer ones after the shorter.
    private const string FiveBits = "012aceiost";
    private const string SixBits = " %-./3456789=A_bdfghlmnpru";
    private const string SevenBits = ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz";
    private const int FirstOfSix = 0x14;
    private const int FirstOfSeven = 0x5c;
    private const int Padding = 0x7f;

    /// <exception cref="ArgumentException">A character has more than seven bits.</exception>
    public static byte[] Encode(string text)
    {
        var bits = new StringBuilder();
        foreach (var c in text)
        {
            var (code, length) = Code(c);
            bits.Append(Convert.ToString(code, 2).PadLeft(length, '0'));
        }
        bits.Append('1', (8 - bits.Length % 8) % 8);
        return [.. bits.ToString().Chunk(8).Select(b => Convert.ToByte(new string(b), 2))];
    }

    /// <returns>The text's length; -1: it has other characters, is longer than the room, or is none of this code.</returns>
    public static int Decode(ReadOnlySpan<byte> coded, Span<byte> text)
    {
        var (bits, count, length) = (0u, 0, 0);
        foreach (var next in coded)
        {
            bits = (bits << 8) | next;
            for (count += 8; count >= 7;)
            {
                var seven = (int)((bits >> (count - 7)) & 0x7f);
                if (seven == Padding && count == 7)
                    break;
                var (symbols, index, used) = (seven >> 2) < FiveBits.Length ? (FiveBits, seven >> 2, 5)
                    : (seven >> 1) < FirstOfSix + SixBits.Length ? (SixBits, (seven >> 1) - FirstOfSix, 6)
                    : (SevenBits, seven - FirstOfSeven, 7);
                if (index >= symbols.Length || length == text.Length)
                    return -1;
                text[length++] = (byte)symbols[index];
                count -= used;
            }
        }
        // What is left may hold a short character, and is padded with ones.
        for (; count >= 5 && !IsPadding(bits, count); length++)
        {
            var five = (int)((bits >> (count - 5)) & 0x1f);
            var isFive = five < FiveBits.Length;
            var six = count == 6 ? (int)(bits & 0x3f) - FirstOfSix : SixBits.Length;
            if ((!isFive && six >= SixBits.Length) || length == text.Length)
                return -1;
            text[length] = (byte)(isFive ? FiveBits[five] : SixBits[six]);
            count -= isFive ? 5 : 6;
        }
        return IsPadding(bits, count) ? length : -1;
    }

    private static bool IsPadding(uint bits, int count) => (bits & ((1u << count) - 1)) == (1u << count) - 1;

    private static (int Code, int Length) Code(char c) =>
        FiveBits.IndexOf(c) is >= 0 and var five ? (five, 5)
        : SixBits.IndexOf(c) is >= 0 and var six ? (FirstOfSix + six, 6)
        : SevenBits.IndexOf(c) is >= 0 and var seven ? (FirstOfSeven + seven, 7)
        : throw new ArgumentException($"'{c}' has more than seven bits", nameof(c));
}
