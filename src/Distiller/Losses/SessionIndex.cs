using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>Which candidates share a session; lays values out as [sessions, longest session] for losses over lists.</summary>
/// <remarks>Lives in the dispose scope in which it was made. Sessions need not be contiguous.</remarks>
public sealed class SessionIndex
{
    private readonly Tensor? places;
    private readonly long longest;

    private SessionIndex(int count, long longest, Tensor? places)
    {
        Count = count;
        this.longest = longest;
        this.places = places;
    }

    /// <summary>Sessions that have a candidate.</summary>
    public int Count { get; }

    /// <summary>Sessions of equal size, one after the other: a reshape is enough.</summary>
    public static SessionIndex Uniform(int sessions, int candidates) => new(sessions, candidates, null);

    /// <param name="sessionOf">Session of each candidate; any numbers, in any order. [N]</param>
    public static SessionIndex Of(ReadOnlySpan<long> sessionOf)
    {
        var numbers = new Dictionary<long, int>();
        var sizes = new List<int>();
        foreach (var session in sessionOf)
        {
            if (numbers.TryAdd(session, sizes.Count))
                sizes.Add(0);
            sizes[numbers[session]]++;
        }
        if (sizes.Count == 0)
            return new(0, 0, null);
        var longest = sizes.Max();
        // Place N is the padding that Pad appends.
        var places = new long[sizes.Count * longest];
        Array.Fill(places, sessionOf.Length);
        var next = new int[sizes.Count];
        for (var i = 0; i < sessionOf.Length; i++)
        {
            var session = numbers[sessionOf[i]];
            places[session * longest + next[session]++] = i;
        }
        return new(sizes.Count, longest, tensor(places));
    }

    /// <summary>[N] → [sessions, longest session], with <paramref name="absent"/> where a session is shorter.</summary>
    public Tensor Pad(Tensor values, double absent)
    {
        if (places is null)
            return values.reshape(Count, longest);
        var padding = full([1], absent, dtype: values.dtype, device: values.device);
        return cat([values, padding]).index_select(0, places.to(values.device)).reshape(Count, longest);
    }
}
