namespace KdServing.Tests;

/// <summary>Spoils good bytes as a seeded fuzzer does: flips, cuts, repeats, inserts, and numbers at their limits.</summary>
public static class HostileBytes
{
    // Varints and lengths at the edges of 7, 31, 32, 63 and 64 bits.
    private static readonly byte[][] Edges =
    [
        [0], [0x7f], [0x80, 0x01], [0xff, 0xff, 0xff, 0xff, 0x07], [0xff, 0xff, 0xff, 0xff, 0x0f], [0x80, 0x80, 0x80, 0x80, 0x10],
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        [0, 0, 0xc0, 0x7f], [0, 0, 0x80, 0x7f], [0xff, 0xff, 0x7f, 0x7f],
    ];

    /// <summary>A copy with one to four things wrong; never equal to <paramref name="good"/>.</summary>
    public static byte[] Mutate(byte[] good, Random random)
    {
        var bytes = good;
        do
        {
            for (var n = random.Next(1, 5); n > 0; n--)
                bytes = Once(bytes, random);
        }
        while (bytes.AsSpan().SequenceEqual(good));
        return bytes;
    }

    private static byte[] Once(byte[] bytes, Random random)
    {
        if (bytes.Length == 0)
            return [(byte)random.Next(256)];
        var at = random.Next(bytes.Length);
        var count = Math.Min(bytes.Length - at, 1 << random.Next(8));
        switch (random.Next(6))
        {
            case 0:
                var flipped = bytes.ToArray();
                flipped[at] ^= (byte)(1 << random.Next(8));
                return flipped;
            case 1:
                return bytes[..at];
            case 2:
                return [.. bytes[..at], .. bytes[(at + count)..]];
            case 3:
                return [.. bytes[..(at + count)], .. bytes[at..]];
            case 4:
                var edge = Edges[random.Next(Edges.Length)];
                return [.. bytes[..at], .. edge, .. bytes[Math.Min(bytes.Length, at + edge.Length)..]];
            default:
                var noise = new byte[count];
                random.NextBytes(noise);
                return [.. bytes[..at], .. noise, .. bytes[at..]];
        }
    }
}
