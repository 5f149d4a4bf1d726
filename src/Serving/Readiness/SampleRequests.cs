using System.Runtime.InteropServices;
using Google.Protobuf;
using Google.Protobuf.Collections;
using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Readiness;

/// <summary>Requests to rehearse with: the trainer's, with as many candidates as clients ask for, and in each of the forms of a reply.</summary>
internal static class SampleRequests
{
    // As many as one request of a recommender often has.
    private const int Candidates = 500;
    private const int TopK = 10;

    /// <returns>Empty when the version brings no requests.</returns>
    public static IReadOnlyList<RankRequest> Of(Servable servable, int maxCandidates) =>
        [.. servable.GoldenRequests.Where(r => r.CandidateCount > 0).SelectMany(r => Forms(Enlarge(r, Math.Min(Candidates, maxCandidates))))];

    private static IEnumerable<RankRequest> Forms(RankRequest request)
    {
        yield return new(request) { WithLogits = false };
        yield return new(request) { WithLogits = false, TopK = Math.Min(TopK, request.CandidateCount) };
        yield return request;
        yield return AsRaw(request);
    }

    private static RankRequest AsRaw(RankRequest request)
    {
        var raw = request.Clone();
        foreach (var column in raw.User.Concat(raw.Item))
        {
            if (column.ValuesCase == Column.ValuesOneofCase.Ints)
                column.RawInt64 = Bytes<long>([.. column.Ints.Value]);
            else if (column.ValuesCase == Column.ValuesOneofCase.Floats)
                column.RawFloat32 = Bytes<float>([.. column.Floats.Value]);
        }
        return raw;
    }

    private static ByteString Bytes<T>(ReadOnlySpan<T> values) where T : unmanaged => ByteString.CopyFrom(MemoryMarshal.AsBytes(values));

    /// <summary>The same candidates over and over, to no more than a number of them; as it is when it has that many already.</summary>
    internal static RankRequest Enlarge(RankRequest request, int candidates)
    {
        var times = candidates / request.CandidateCount;
        if (times <= 1)
            return request;
        var larger = request.Clone();
        larger.CandidateCount *= times;
        foreach (var column in larger.Item)
            Repeat(column, times);
        return larger;
    }

    private static void Repeat(Column column, int times)
    {
        switch (column.ValuesCase)
        {
            case Column.ValuesOneofCase.Ints:
                Repeat(column.Ints.Value, times);
                break;
            case Column.ValuesOneofCase.Floats:
                Repeat(column.Floats.Value, times);
                break;
            case Column.ValuesOneofCase.Strings:
                Repeat(column.Strings.Value, times);
                break;
            case Column.ValuesOneofCase.Sequences:
                Repeat(column.Sequences.Value, times);
                Repeat(column.Sequences.Lengths, times);
                break;
            case Column.ValuesOneofCase.RawInt64:
                column.RawInt64 = Repeat(column.RawInt64, times);
                break;
            case Column.ValuesOneofCase.RawFloat32:
                column.RawFloat32 = Repeat(column.RawFloat32, times);
                break;
        }
    }

    private static void Repeat<T>(RepeatedField<T> values, int times)
    {
        var once = values.ToArray();
        for (var i = 1; i < times; i++)
            values.AddRange(once);
    }

    private static ByteString Repeat(ByteString bytes, int times) =>
        ByteString.CopyFrom([.. Enumerable.Repeat(bytes, times).SelectMany(b => b)]);
}
