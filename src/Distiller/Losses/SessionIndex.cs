using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>Which candidates share a session; lays values out as [sessions, longest session] for losses over lists, or as pairs.</summary>
/// <remarks>Lives in the dispose scope in which it was made. Sessions need not be contiguous. One thread.</remarks>
public sealed class SessionIndex
{
    private readonly Tensor? places;
    private readonly int[] sizes;
    private readonly int[] starts;
    // Candidates, session after session; null until asked for, when they are in the order they have.
    private int[]? members;
    private (Tensor First, Tensor Second)? pairs;

    private SessionIndex(int[] sizes, int[]? members, Tensor? places)
    {
        this.sizes = sizes;
        this.members = members;
        this.places = places;
        Longest = sizes.Length == 0 ? 0 : sizes.Max();
        starts = new int[sizes.Length];
        for (var s = 1; s < sizes.Length; s++)
            starts[s] = starts[s - 1] + sizes[s - 1];
    }

    /// <summary>Sessions that have a candidate.</summary>
    public int Count => sizes.Length;

    /// <summary>Candidates of the longest session.</summary>
    public int Longest { get; }

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
            return new(sizes, [], null);
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
            return values.reshape(Count, Longest);
        var padding = full([1], absent, dtype: values.dtype, device: values.device);
        return cat([values, padding]).index_select(0, places.to(values.device)).reshape(Count, Longest);
    }

    /// <summary>A session's candidates.</summary>
    public ReadOnlySpan<int> Members(int session) => (members ??= InOrder()).AsSpan(starts[session], sizes[session]);

    /// <summary>One value a session [sessions] → that value at each of its candidates [N].</summary>
    public Tensor Spread(Tensor ofSession)
    {
        var sessionOf = new long[sizes.Sum()];
        for (var session = 0; session < sizes.Length; session++)
        {
            foreach (var candidate in Members(session))
                sessionOf[candidate] = session;
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
        var ranks = new double[values.shape[0]];
        Ranks(values.detach().cpu().to_type(ScalarType.Float64).contiguous().data<double>().ToArray(), ranks);
        return tensor(ranks).to_type(values.dtype).to(values.device);
    }

    /// <inheritdoc cref="Ranks(Tensor)"/>
    /// <param name="ranks">[N], written.</param>
    public void Ranks<T>(ReadOnlySpan<T> values, Span<T> ranks) where T : System.Numerics.INumber<T>
    {
        var keys = new T[Longest];
        var order = new int[Longest];
        for (var session = 0; session < Count; session++)
        {
            var candidates = Members(session);
            var n = candidates.Length;
            candidates.CopyTo(order);
            for (var k = 0; k < n; k++)
                keys[k] = -values[candidates[k]];
            keys.AsSpan(0, n).Sort(order.AsSpan(0, n));
            for (var k = 0; k < n; k++)
                ranks[order[k]] = k > 0 && keys[k] == keys[k - 1] ? ranks[order[k - 1]] : T.CreateChecked(k);
        }
    }

    private int[] InOrder()
    {
        var order = new int[sizes.Sum()];
        for (var i = 0; i < order.Length; i++)
            order[i] = i;
        return order;
    }

    private (Tensor First, Tensor Second) AllPairs()
    {
        var count = sizes.Sum(n => (long)n * (n - 1) / 2);
        var first = new long[count];
        var second = new long[count];
        for (int session = 0, next = 0; session < sizes.Length; session++)
        {
            var candidates = Members(session);
            for (var i = 0; i < candidates.Length; i++)
            {
                for (var j = i + 1; j < candidates.Length; j++, next++)
                {
                    first[next] = candidates[i];
                    second[next] = candidates[j];
                }
            }
        }
        return (tensor(first), tensor(second));
    }
}
