using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>Which candidates share a session; lays values out as [sessions, longest session] for losses over lists, or as pairs.</summary>
/// <remarks>Lives in the dispose scope in which it was made. Sessions need not be contiguous. One thread.</remarks>
public sealed class SessionIndex
{
    private readonly Tensor? places;
    private readonly long longest;
    private readonly int[] sizes;
    // Candidates, session after session; null: in the order they have.
    private readonly int[]? members;
    private (Tensor First, Tensor Second)? pairs;

    private SessionIndex(int[] sizes, int[]? members, Tensor? places)
    {
        this.sizes = sizes;
        this.members = members;
        this.places = places;
        longest = sizes.Length == 0 ? 0 : sizes.Max();
    }

    /// <summary>Sessions that have a candidate.</summary>
    public int Count => sizes.Length;

    /// <summary>Sessions of equal size, one after the other: a reshape is enough.</summary>
    public static SessionIndex Uniform(int sessions, int candidates)
    {
        var sizes = new int[candidates == 0 ? 0 : sessions];
        Array.Fill(sizes, candidates);
        return new(sizes, null, null);
    }

    /// <param name="sessionOf">Session of each candidate; any numbers, in any order. [N]</param>
    public static SessionIndex Of(ReadOnlySpan<long> sessionOf)
    {
        var numbers = new Dictionary<long, int>();
        var counts = new List<int>();
        foreach (var session in sessionOf)
        {
            if (numbers.TryAdd(session, counts.Count))
                counts.Add(0);
            counts[numbers[session]]++;
        }
        int[] sizes = [.. counts];
        if (sizes.Length == 0)
            return new(sizes, null, null);
        var longest = sizes.Max();
        // Place N is the padding that Pad appends.
        var places = new long[sizes.Length * longest];
        Array.Fill(places, sessionOf.Length);
        var starts = new int[sizes.Length];
        for (var s = 1; s < sizes.Length; s++)
            starts[s] = starts[s - 1] + sizes[s - 1];
        var members = new int[sessionOf.Length];
        var next = new int[sizes.Length];
        for (var i = 0; i < sessionOf.Length; i++)
        {
            var session = numbers[sessionOf[i]];
            places[session * longest + next[session]] = i;
            members[starts[session] + next[session]++] = i;
        }
        return new(sizes, members, tensor(places));
    }

    /// <summary>[N] → [sessions, longest session], with <paramref name="absent"/> where a session is shorter.</summary>
    public Tensor Pad(Tensor values, double absent)
    {
        if (places is null)
            return values.reshape(Count, longest);
        var padding = full([1], absent, dtype: values.dtype, device: values.device);
        return cat([values, padding]).index_select(0, places.to(values.device)).reshape(Count, longest);
    }

    /// <summary>One value a session [sessions] → that value at each of its candidates [N].</summary>
    public Tensor Spread(Tensor ofSession)
    {
        var sessionOf = new long[sizes.Sum()];
        for (int session = 0, m = 0; session < sizes.Length; session++)
        {
            for (var end = m + sizes[session]; m < end; m++)
                sessionOf[Member(m)] = session;
        }
        return ofSession.index_select(0, tensor(sessionOf).to(ofSession.device));
    }

    /// <summary>Every pair of candidates of one session of which the first has the larger value; equal ones are no pair.</summary>
    /// <returns>Indices of candidates, [P] each. Memory: Σ n² over sessions of n, not the square of the batch.</returns>
    public (Tensor Winners, Tensor Losers) Pairs(Tensor values)
    {
        pairs ??= AllPairs();
        var (first, second) = (pairs.Value.First.to(values.device), pairs.Value.Second.to(values.device));
        var difference = values.index_select(0, first).sub(values.index_select(0, second));
        var decided = difference.ne(0).nonzero().reshape(-1);
        (first, second) = (first.index_select(0, decided), second.index_select(0, decided));
        var ahead = difference.index_select(0, decided).gt(0);
        return (where(ahead, first, second), where(ahead, second, first));
    }

    /// <summary>How many candidates of the session have a larger value: 0 for the best; equal values share a rank. [N]</summary>
    public Tensor Ranks(Tensor values)
    {
        var losers = Pairs(values).Losers;
        return losers.bincount(minlength: values.shape[0]).to_type(values.dtype);
    }

    private (Tensor First, Tensor Second) AllPairs()
    {
        var count = sizes.Sum(n => (long)n * (n - 1) / 2);
        var first = new long[count];
        var second = new long[count];
        for (int session = 0, start = 0, next = 0; session < sizes.Length; start += sizes[session++])
        {
            var end = start + sizes[session];
            for (var i = start; i < end; i++)
            {
                for (var j = i + 1; j < end; j++, next++)
                {
                    first[next] = Member(i);
                    second[next] = Member(j);
                }
            }
        }
        return (tensor(first), tensor(second));
    }

    private int Member(int place) => members is null ? place : members[place];
}
