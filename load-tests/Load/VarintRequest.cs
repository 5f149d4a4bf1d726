using System.Runtime.InteropServices;
using KdServing.Contracts;

namespace KdServing.LoadTests.Load;

/// <summary>Turns a request whose ids are little-endian integers into one that has them as varints: fewer bytes, more work for either end.</summary>
internal static class VarintRequest
{
    public static RankRequest Of(RankRequest request)
    {
        var varints = new RankRequest(request);
        foreach (var column in varints.User.Concat(varints.Item).Where(c => c.ValuesCase == Column.ValuesOneofCase.RawInt64))
            column.Ints = new() { Value = { Integers(column.RawInt64.Span) } };
        if (varints.Catalog is { IdsCase: CatalogCandidates.IdsOneofCase.RawInt64 } candidates)
            candidates.Ints = new() { Value = { Integers(candidates.RawInt64.Span) } };
        return varints;
    }

    private static long[] Integers(ReadOnlySpan<byte> raw) => MemoryMarshal.Cast<byte, long>(raw).ToArray();
}
