using System.Runtime.InteropServices;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>How the teacher's best candidates weigh.</summary>
public enum RankWeighting
{
    /// <summary>By their place alone.</summary>
    Position,

    /// <summary>By how far the student has them below it.</summary>
    Discrepancy,

    /// <summary>By the product of both.</summary>
    Hybrid,
}

/// <summary><c>ranking_distillation_loss</c> block; defaults of the authors' code.</summary>
public sealed record RankingDistillationBlock
{
    public string? SessionName { get; init; }

    /// <summary>K: the teacher's best candidates, which count as positives.</summary>
    public int K { get; init; } = 10;

    /// <summary>λ: place r weighs e^(−r/λ), normalised over the K.</summary>
    public double Lambda { get; init; } = 1;

    /// <summary>μ: steepness of tanh(μ·(r̂ − r)).</summary>
    public double Mu { get; init; } = 0.1;

    public RankWeighting Weighting { get; init; } = RankWeighting.Hybrid;

    /// <summary>Divide a session's weights by their sum.</summary>
    public bool Normalize { get; init; }

    /// <summary>Number of candidates r̂ is scaled to; null: the session's own.</summary>
    public int? CatalogueSize { get; init; }

    /// <summary>Count r from 0 in r̂ − r, as the authors' code does; the paper counts from 1.</summary>
    public bool ZeroBased { get; init; } = true;

    /// <summary>Column of hard labels whose positives are no longer "unlabelled" and are passed over; null: none are.</summary>
    public string? HardLabelName { get; init; }
}

/// <summary>
/// Ranking Distillation (Tang, Wang 2018, arXiv:1809.07428): the teacher's top K of a session are further positives,
/// Σ_r w_r·(−log σ(s_r)), mean over sessions. It goes beside a loss on labels.
/// </summary>
/// <remarks>
/// w is position, discrepancy or their product, and a constant: dL/ds_r = −w_r·σ(−s_r)/G. r̂, the student's estimated place, is
/// ⌊(size − 1)·(share of the session's other candidates that the student scores higher)⌋.
/// </remarks>
public sealed class RankingDistillationLoss(KdLossConfig config, RankingDistillationBlock block, LossColumn session, LossColumn? hardLabel)
    : DistillationLoss(config)
{
    private const string BlockName = "ranking_distillation_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<RankingDistillationBlock>(BlockName, field);
        RequireNoTemperature(config, field, null);
        RequireLogits(config, field);
        Require(block.K >= 1, $"{field}.{BlockName}.k", block.K, "must be 1 or more");
        Require(block.Lambda > 0 && double.IsFinite(block.Lambda), $"{field}.{BlockName}.lambda", block.Lambda, "must be above 0");
        Require(block.Mu > 0 && double.IsFinite(block.Mu), $"{field}.{BlockName}.mu", block.Mu, "must be above 0");
        Require(block.CatalogueSize is null or >= 1, $"{field}.{BlockName}.catalogue_size", block.CatalogueSize ?? 0, "must be 1 or more");
        return new RankingDistillationLoss(config, block, ListwiseLoss.RequireSession(config, $"{field}.{BlockName}", block.SessionName),
            block.HardLabelName is { } name ? new($"{field}.{BlockName}.hard_label_name", name) : null);
    }

    public override LossColumn? Session => session;

    public override IReadOnlyList<LossColumn> Columns => hardLabel is null ? [] : [hardLabel];

    // Which candidates are the best is a matter of the whole list.
    public override bool TakesWeights => false;

    protected override Tensor Compare(LossInput input)
    {
        if (input.Sessions.Count == 0)
            return input.Student.mul(0).sum();
        var student = Doubles(input.Student);
        var teacher = Doubles(input.Teacher);
        var labels = hardLabel is null ? null : Doubles(input.Columns[hardLabel.Name]);
        var weights = new double[student.Length];
        for (var g = 0; g < input.Sessions.Count; g++)
            Weigh(input.Sessions.Members(g), student, teacher, labels, weights);
        var losses = functional.softplus(input.Student.neg()).mul(tensor(weights).to_type(input.Student.dtype).to(input.Student.device));
        return input.SessionWeights is { } of
            ? Mean(input.Sessions.Pad(losses, 0).sum(1), of)
            : losses.sum().div(input.Sessions.Count);
    }

    private void Weigh(ReadOnlySpan<int> members, double[] student, double[] teacher, double[]? labels, double[] weights)
    {
        var best = new List<int>();
        foreach (var i in members)
        {
            if (labels is null || labels[i] != 1)
                best.Add(i);
        }
        best.Sort((a, b) => teacher[a] != teacher[b] ? teacher[b].CompareTo(teacher[a]) : a.CompareTo(b));
        best = best[..Math.Min(block.K, best.Count)];
        if (best.Count == 0)
            return;
        var w = block.Weighting == RankWeighting.Discrepancy ? [.. best.Select(_ => 1.0)] : PositionWeights(best.Count, block.Lambda);
        if (block.Weighting != RankWeighting.Position)
        {
            var others = members.ToArray().Except(best).Select(i => student[i]).ToArray();
            var places = EstimatedPlaces([.. best.Select(i => student[i])], others, block.CatalogueSize ?? members.Length);
            var discrepancy = DiscrepancyWeights(places, block.Mu, block.ZeroBased);
            for (var r = 0; r < w.Length; r++)
                w[r] *= discrepancy[r];
        }
        var sum = w.Sum();
        for (var r = 0; r < w.Length; r++)
            weights[best[r]] = block.Normalize && sum > 0 ? w[r] / sum : w[r];
    }

    /// <summary>a_r = e^(−r/λ) / Σ e^(−r/λ), r = 1 … count.</summary>
    internal static double[] PositionWeights(int count, double lambda)
    {
        // Relative to the first: a small λ must not make every term 0.
        double[] weights = [.. Enumerable.Range(0, count).Select(r => Math.Exp(-r / lambda))];
        var sum = weights.Sum();
        return [.. weights.Select(w => w / sum)];
    }

    /// <summary>r̂ = ⌊(size − 1)·#{others scored higher}/#others⌋ of each score; 0 without others.</summary>
    internal static double[] EstimatedPlaces(double[] scores, double[] others, int size) =>
        [.. scores.Select(s => others.Length == 0 ? 0 : Math.Floor((size - 1.0) * others.Count(o => o > s) / others.Length))];

    /// <summary>b_r = max(0, tanh(μ·(r̂ − r))).</summary>
    internal static double[] DiscrepancyWeights(double[] places, double mu, bool zeroBased) =>
        [.. places.Select((place, r) => Math.Max(0, Math.Tanh(mu * (place - (zeroBased ? r : r + 1)))))];

    private static double[] Doubles(Tensor values)
    {
        using var dense = values.detach().cpu().to_type(ScalarType.Float64).contiguous();
        return MemoryMarshal.Cast<byte, double>(dense.bytes).ToArray();
    }
}
