namespace KdServing.Serving.Connections;

/// <summary>What a request's header block says of who may answer it.</summary>
internal enum HeaderBlockKind
{
    /// <summary>Not a ranking call, or damaged: for Kestrel to answer.</summary>
    Other,

    /// <summary>A ranking call, whose headers change nothing for those after it.</summary>
    Ranking,

    /// <summary>It reads or writes the table that both ends keep for the connection: Kestrel must see it, or it misreads what comes later.</summary>
    UsesTable,
}

/// <summary>Reads request headers (HPACK, RFC 7541) as far as ranking calls need: it keeps no table, and decodes nothing but what decides.</summary>
/// <param name="EmptiesTable">The block begins by giving the table a size of nothing, and does not enlarge it again.</param>
/// <param name="IsPlain">A ranking call as gRPC has it: POST, its content type, not compressed, a timeout that can be read if any.</param>
/// <param name="Timeout">Null: none.</param>
internal readonly record struct HeaderBlock(HeaderBlockKind Kind, bool EmptiesTable, bool IsPlain, TimeSpan? Timeout)
{
    private const int StaticEntries = 61;
    private const int MethodEntry = 2; // and 3, POST: ":method" of the static table
    private const int PostEntry = 3;
    private const int PathEntry = 4; // and 5: ":path"
    private const int ContentTypeEntry = 31;

    // Longer names and values are none that decide.
    private const int MaxText = 64;

    private static readonly byte[] RankPath = System.Text.Encoding.ASCII.GetBytes(Refusals.RankPath);

    // The same in the code of RFC 7541, appendix B. A test has the decoder of another implementation read it.
    internal static readonly byte[] CompressedRankPath = HuffmanText.Encode(Refusals.RankPath);

    private enum Field
    {
        Other,
        Method,
        Path,
        ContentType,
        Timeout,
        Encoding,
    }

    /// <param name="tableIsEmpty">The client has given its table a size of nothing: what it adds is not kept.</param>
    public static HeaderBlock Read(ReadOnlySpan<byte> block, bool tableIsEmpty)
    {
        var (kind, isPost, isGrpc, isTimed, isIdentity) = (HeaderBlockKind.Other, false, false, true, true);
        TimeSpan? timeout = null;
        Span<byte> text = stackalloc byte[MaxText];
        while (!block.IsEmpty)
        {
            var first = block[0];
            if ((first & 0x80) != 0)
            {
                if (!Hpack.TryInteger(ref block, 7, out var entry))
                    return default;
                if (entry > StaticEntries)
                    return new(HeaderBlockKind.UsesTable, false, false, null);
                isPost |= entry == PostEntry;
                continue;
            }
            if ((first & 0xe0) == 0x20)
            {
                var emptiesTable = false;
                for (var isRead = true; isRead && !block.IsEmpty && (block[0] & 0xe0) == 0x20;)
                    emptiesTable = (isRead = Hpack.TryInteger(ref block, 5, out var size)) && size == 0;
                return new(HeaderBlockKind.UsesTable, emptiesTable, false, null);
            }
            var isAdded = (first & 0x40) != 0;
            if (isAdded && !tableIsEmpty)
                return new(HeaderBlockKind.UsesTable, false, false, null);
            if (!Hpack.TryInteger(ref block, isAdded ? 6 : 4, out var name))
                return default;
            if (name > StaticEntries)
                return new(HeaderBlockKind.UsesTable, false, false, null);
            var field = name switch
            {
                MethodEntry or PostEntry => Field.Method,
                PathEntry or PathEntry + 1 => Field.Path,
                ContentTypeEntry => Field.ContentType,
                _ => Field.Other,
            };
            // gRPC's C library spells names of the static table out.
            if (name == 0)
            {
                if (!Hpack.TryText(ref block, out var spelt, out var isNameCompressed))
                    return default;
                field = FieldOf(Plain(spelt, isNameCompressed, text));
            }
            if (!Hpack.TryText(ref block, out var value, out var isCompressed))
                return default;
            switch (field)
            {
                case Field.Path:
                    kind = value.SequenceEqual(isCompressed ? CompressedRankPath : RankPath) ? HeaderBlockKind.Ranking : HeaderBlockKind.Other;
                    break;
                case Field.Method:
                    isPost = Plain(value, isCompressed, text).SequenceEqual("POST"u8);
                    break;
                case Field.ContentType:
                    isGrpc = IsGrpc(Plain(value, isCompressed, text));
                    break;
                case Field.Timeout:
                    isTimed = TryTimeout(Plain(value, isCompressed, text), out timeout);
                    break;
                case Field.Encoding:
                    isIdentity = Plain(value, isCompressed, text).SequenceEqual("identity"u8);
                    break;
            }
        }
        return new(kind, false, kind == HeaderBlockKind.Ranking && isPost && isGrpc && isTimed && isIdentity, timeout);
    }

    private static Field FieldOf(ReadOnlySpan<byte> name) =>
        name.SequenceEqual(":path"u8) ? Field.Path
        : name.SequenceEqual("grpc-timeout"u8) ? Field.Timeout
        : name.SequenceEqual("content-type"u8) ? Field.ContentType
        : name.SequenceEqual(":method"u8) ? Field.Method
        : name.SequenceEqual("grpc-encoding"u8) ? Field.Encoding
        : Field.Other;

    private static bool IsGrpc(ReadOnlySpan<byte> type) => type.SequenceEqual("application/grpc"u8) || type.SequenceEqual("application/grpc+proto"u8);

    // gRPC over HTTP/2: at most eight digits and a unit.
    private static bool TryTimeout(ReadOnlySpan<byte> text, out TimeSpan? timeout)
    {
        timeout = null;
        if (text.Length is < 2 or > 9)
            return false;
        var number = 0L;
        foreach (var digit in text[..^1])
        {
            if (digit is < (byte)'0' or > (byte)'9')
                return false;
            number = number * 10 + digit - '0';
        }
        timeout = text[^1] switch
        {
            (byte)'H' => TimeSpan.FromHours(number),
            (byte)'M' => TimeSpan.FromMinutes(number),
            (byte)'S' => TimeSpan.FromSeconds(number),
            (byte)'m' => TimeSpan.FromMilliseconds(number),
            (byte)'u' => TimeSpan.FromMicroseconds(number),
            (byte)'n' => TimeSpan.FromTicks((number + 99) / 100),
            _ => null,
        };
        return timeout is not null;
    }

    // What can not be read is none of the texts that decide.
    private static ReadOnlySpan<byte> Plain(ReadOnlySpan<byte> text, bool isCompressed, Span<byte> room) =>
        isCompressed ? room[..Math.Max(0, HuffmanText.Decode(text, room))] : text;
}
