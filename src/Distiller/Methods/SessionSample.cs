using KdServing.Contracts;
using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>A few candidates of every session, for losses that compare each with each: their cost is then bounded, whatever the lists' lengths.</summary>
/// <remarks>Lives in a dispose scope. The choice is a function of <see cref="LearningStep.Draw"/>.</remarks>
internal sealed class SessionSample
{
    private readonly Tensor places;
    private readonly long sessions;
    private readonly long most;

    private SessionSample(long[] places, float[] mask, int sessions, int most)
    {
        this.places = tensor(places);
        this.sessions = sessions;
        this.most = most;
        Mask = tensor(mask).reshape(sessions, most);
    }

    /// <summary>1 where a session has a candidate, [sessions, most].</summary>
    public Tensor Mask { get; }

    /// <param name="starts">Session g owns the candidates starts[g] .. starts[g + 1].</param>
    /// <param name="known">Candidates that may be chosen; null: all.</param>
    /// <param name="most">Candidates taken from a session.</param>
    /// <returns>Null when no session has two candidates to compare.</returns>
    public static SessionSample? Take(ReadOnlySpan<int> starts, bool[]? known, int most, ulong draw)
    {
        var chosen = new List<List<long>>();
        for (var g = 0; g + 1 < starts.Length; g++)
        {
            var members = new List<long>();
            for (var i = starts[g]; i < starts[g + 1]; i++)
            {
                if (known is null || known[i])
                    members.Add(i);
            }
            if (members.Count < 2)
                continue;
            // The first places of a random order (Fisher and Yates), in their own order again.
            for (var k = 0; k < Math.Min(most, members.Count - 1) && members.Count > most; k++)
            {
                draw = FeatureHash.Mix(draw);
                var other = k + (int)(draw % (ulong)(members.Count - k));
                (members[k], members[other]) = (members[other], members[k]);
            }
            if (members.Count > most)
                members.RemoveRange(most, members.Count - most);
            members.Sort();
            chosen.Add(members);
        }
        if (chosen.Count == 0)
            return null;
        var longest = chosen.Max(m => m.Count);
        var places = new long[chosen.Count * longest];
        var mask = new float[places.Length];
        for (var g = 0; g < chosen.Count; g++)
        {
            for (var k = 0; k < longest; k++)
            {
                places[g * longest + k] = chosen[g][Math.Min(k, chosen[g].Count - 1)];
                mask[g * longest + k] = k < chosen[g].Count ? 1 : 0;
            }
        }
        return new(places, mask, chosen.Count, longest);
    }

    /// <summary>[N, width] → [sessions, most, width]; padded places repeat a candidate and are 0 in <see cref="Mask"/>.</summary>
    public Tensor Of(Tensor vectors) => vectors.index_select(0, places).reshape(sessions, most, vectors.shape[1]);
}
