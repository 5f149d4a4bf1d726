using KdServing.Contracts;
using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary><c>rrd_loss</c> block; defaults of the authors' code.</summary>
public sealed record RrdBlock
{
    public string? SessionName { get; init; }

    /// <summary>K: interesting candidates a session.</summary>
    public int Interesting { get; init; } = 40;

    /// <summary>L: uninteresting candidates a session.</summary>
    public int Uninteresting { get; init; } = 40;

    /// <summary>T: interesting ones are drawn with probability ∝ e^(−place/T).</summary>
    public double RankTemperature { get; init; } = 10;

    /// <summary>Interesting ones are drawn from the teacher's first so many, and never from more than half of a session.</summary>
    public int Top { get; init; } = 500;

    /// <summary>False: take the teacher's first K. The authors later found the drawing unnecessary.</summary>
    public bool Sample { get; init; } = true;
}

/// <summary>
/// Relaxed ranking distillation (Kang et al. 2020, DE-RRD): −Σ_k [s_k − log(Σ_{i≥k} e^{s_i} + Σ_l e^{u_l})] over interesting candidates
/// in the teacher's order, with uninteresting ones in every denominator (Plackett and Luce); mean over sessions.
/// </summary>
/// <remarks>What is drawn is a function of the step (<see cref="LossInput.Draw"/>). A session with one candidate contributes 0.</remarks>
public sealed class RrdLoss(KdLossConfig config, RrdBlock block, LossColumn session) : DistillationLoss(config)
{
    private const string BlockName = "rrd_loss";
    private const double Absent = -1e30;

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<RrdBlock>(BlockName, field);
        RequireNoTemperature(config, field, null);
        RequireLogits(config, field);
        Require(block.Interesting >= 1, $"{field}.{BlockName}.interesting", block.Interesting, "must be 1 or more");
        Require(block.Uninteresting >= 0, $"{field}.{BlockName}.uninteresting", block.Uninteresting, "must be 0 or more");
        Require(block.Top >= 1, $"{field}.{BlockName}.top", block.Top, "must be 1 or more");
        RequireTemperature(block.RankTemperature, $"{field}.{BlockName}.rank_temperature");
        return new RrdLoss(config, block, ListwiseLoss.RequireSession(config, $"{field}.{BlockName}", block.SessionName));
    }

    public override LossColumn? Session => session;

    // Which candidates are interesting is a matter of the whole list.
    public override bool TakesWeights => false;

    protected override Tensor Compare(LossInput input)
    {
        if (input.Sessions.Count == 0)
            return input.Student.mul(0).sum();
        var teacher = input.Teacher.detach().cpu().to_type(ScalarType.Float64).contiguous().data<double>().ToArray();
        var width = Math.Min(block.Interesting + block.Uninteresting, input.Sessions.Longest);
        var places = new long[input.Sessions.Count * width];
        Array.Fill(places, input.Student.shape[0]);
        var counts = new double[places.Length];
        for (var g = 0; g < input.Sessions.Count; g++)
        {
            var members = input.Sessions.Members(g);
            var (interesting, uninteresting) = Choose(members, teacher, FeatureHash.Mix(input.Draw ^ (ulong)g));
            var at = g * width;
            foreach (var i in interesting)
            {
                counts[at] = members.Length > 1 ? 1 : 0;
                places[at++] = i;
            }
            foreach (var i in uninteresting)
                places[at++] = i;
        }
        var padded = cat([input.Student, full([1], Absent, dtype: input.Student.dtype, device: input.Student.device)])
            .index_select(0, tensor(places).to(input.Student.device)).reshape(input.Sessions.Count, width);
        var losses = Losses(padded).mul(tensor(counts).reshape(input.Sessions.Count, width).to_type(input.Student.dtype).to(input.Student.device)).sum(1);
        return input.SessionWeights is { } weights ? Mean(losses, weights) : losses.mean();
    }

    /// <summary>Of every place, −[s_k − log Σ_{i≥k} e^{s_i}]; [sessions, places] of scores with −1e30 where a session is shorter.</summary>
    internal static Tensor Losses(Tensor scores) => scores.flip(1).logcumsumexp(1).flip(1).sub(scores);

    /// <summary>Interesting candidates in the teacher's order, and uninteresting ones.</summary>
    internal (List<int> Interesting, List<int> Uninteresting) Choose(ReadOnlySpan<int> members, double[] teacher, ulong draw)
    {
        int[] order = [.. members];
        Array.Sort(order, (a, b) => teacher[a] != teacher[b] ? teacher[b].CompareTo(teacher[a]) : a.CompareTo(b));
        var top = Math.Min(block.Top, (order.Length + 1) / 2);
        var k = Math.Min(block.Interesting, top);
        var probabilities = DrawProbabilities(top, block.RankTemperature);
        // Without replacement with probabilities p: the k largest of log p + Gumbel noise (Efraimidis, Spirakis 2006).
        var interesting = Enumerable.Range(0, top);
        if (k < top)
            interesting = block.Sample ? interesting.OrderByDescending(r => Math.Log(probabilities[r]) + Gumbel(draw, r)).Take(k).Order() : interesting.Take(k);
        var rest = Enumerable.Range(top, order.Length - top);
        if (block.Uninteresting < order.Length - top)
            rest = rest.OrderByDescending(r => Gumbel(draw, r)).Take(block.Uninteresting).Order();
        return ([.. interesting.Select(r => order[r])], [.. rest.Select(r => order[r])]);
    }

    /// <summary>Probabilities by which places 1 … count are drawn first.</summary>
    internal static double[] DrawProbabilities(int count, double temperature)
    {
        double[] weights = [.. Enumerable.Range(1, count).Select(r => Math.Exp(-r / temperature))];
        var sum = weights.Sum();
        return [.. weights.Select(w => w / sum)];
    }

    private static double Gumbel(ulong draw, int place) =>
        -Math.Log(-Math.Log(((FeatureHash.Mix(draw + (ulong)place) >> 40) + 0.5) / (1 << 24)));
}
