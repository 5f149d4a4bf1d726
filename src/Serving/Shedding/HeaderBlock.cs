namespace KdServing.Serving.Shedding;

/// <summary>What a request's header block says of how it may be refused.</summary>
internal enum HeaderBlockKind
{
    /// <summary>Not a ranking call, or damaged: for Kestrel to answer.</summary>
    Other,

    /// <summary>A ranking call, whose headers change nothing for those after it.</summary>
    Ranking,

    /// <summary>It reads or writes the table that both ends keep for the connection: Kestrel must see it, or it misreads what comes later.</summary>
    UsesTable,
}

/// <summary>Reads request headers (HPACK, RFC 7541) as far as a refusal needs: it keeps no table, and decodes nothing but <c>:path</c>.</summary>
internal static class HeaderBlock
{
    private const int StaticEntries = 61;
    private const int PathEntry = 4; // and 5: ":path" of the static table

    private static readonly byte[] RankPath = System.Text.Encoding.ASCII.GetBytes(Refusals.RankPath);

    // The same in the code of RFC 7541, appendix B. A test has the decoder of another implementation read it.
    internal static ReadOnlySpan<byte> CompressedRankPath =>
        [0x63, 0xac, 0x88, 0x2d, 0x9d, 0xcd, 0x54, 0xcb, 0xf7, 0x0a, 0xfb, 0x47, 0x57, 0x53, 0x55, 0x33, 0x1b, 0x47, 0x57, 0x5f];

    /// <param name="tableIsEmpty">The client has given its table a size of nothing: what it adds is not kept.</param>
    /// <param name="emptiesTable">The block begins by doing so, and does not enlarge it again.</param>
    public static HeaderBlockKind Read(ReadOnlySpan<byte> block, bool tableIsEmpty, out bool emptiesTable)
    {
        emptiesTable = false;
        var kind = HeaderBlockKind.Other;
        while (!block.IsEmpty)
        {
            var first = block[0];
            if ((first & 0x80) != 0)
            {
                if (!TryInteger(ref block, 7, out var entry))
                    return HeaderBlockKind.Other;
                if (entry > StaticEntries)
                    return HeaderBlockKind.UsesTable;
                continue;
            }
            if ((first & 0xe0) == 0x20)
            {
                for (var isRead = true; isRead && !block.IsEmpty && (block[0] & 0xe0) == 0x20;)
                    emptiesTable = (isRead = TryInteger(ref block, 5, out var size)) && size == 0;
                return HeaderBlockKind.UsesTable;
            }
            var isAdded = (first & 0x40) != 0;
            if (isAdded && !tableIsEmpty)
                return HeaderBlockKind.UsesTable;
            if (!TryInteger(ref block, isAdded ? 6 : 4, out var name))
                return HeaderBlockKind.Other;
            if (name > StaticEntries)
                return HeaderBlockKind.UsesTable;
            var isPath = name is PathEntry or PathEntry + 1;
            if (name == 0)
            {
                if (!TryText(ref block, out var text, out _))
                    return HeaderBlockKind.Other;
                // gRPC's C library spells it out.
                isPath = text.SequenceEqual(":path"u8);
            }
            if (!TryText(ref block, out var value, out var isCompressed))
                return HeaderBlockKind.Other;
            if (isPath)
                kind = value.SequenceEqual(isCompressed ? CompressedRankPath : RankPath) ? HeaderBlockKind.Ranking : HeaderBlockKind.Other;
        }
        return kind;
    }

    // RFC 7541, section 5.2.
    private static bool TryText(ref ReadOnlySpan<byte> block, out ReadOnlySpan<byte> text, out bool isCompressed)
    {
        text = default;
        isCompressed = !block.IsEmpty && (block[0] & 0x80) != 0;
        if (!TryInteger(ref block, 7, out var length) || length > block.Length)
            return false;
        text = block[..length];
        block = block[length..];
        return true;
    }

    // RFC 7541, section 5.1; numbers of more than 21 bits are none of a request that is worth refusing quickly.
    private static bool TryInteger(ref ReadOnlySpan<byte> block, int prefixBits, out int value)
    {
        value = 0;
        if (block.IsEmpty)
            return false;
        var mask = (1 << prefixBits) - 1;
        value = block[0] & mask;
        block = block[1..];
        if (value < mask)
            return true;
        for (var shift = 0; shift <= 14 && !block.IsEmpty; shift += 7)
        {
            var next = block[0];
            block = block[1..];
            value += (next & 0x7f) << shift;
            if ((next & 0x80) == 0)
                return true;
        }
        return false;
    }
}
