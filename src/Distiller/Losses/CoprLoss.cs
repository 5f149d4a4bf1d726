using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary><c>copr_loss</c> block.</summary>
public sealed record CoprBlock
{
    public string? SessionName { get; init; }

    /// <summary>Column of bids, above 0; null: every bid is 1.</summary>
    public string? BidName { get; init; }

    /// <summary>Neighbours in the teacher's order that count as equal.</summary>
    public int ChunkSize { get; init; } = 1;
}

/// <summary>
/// Aligns the order of eCPM = p·bid with the teacher's: mean over pairs of different chunks of w·softplus(log e_worse − log e_better),
/// w = |Δgain|·|Δdiscount| / IDCG. After COPR (arXiv:2306.03516), whose exact formula is unverified.
/// </summary>
/// <remarks>
/// Chunk c of K, 0 the best: gain K − c, discount 1 / log₂(2 + c), IDCG = Σ gain·discount over the session. Candidates the teacher
/// values equally share a rank.
/// </remarks>
public sealed class CoprLoss(KdLossConfig config, CoprBlock block, LossColumn session, IReadOnlyList<LossColumn> columns) : DistillationLoss(config)
{
    private const string BlockName = "copr_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<CoprBlock>(BlockName, field);
        RequireNoTemperature(config, field, null);
        Require(block.ChunkSize >= 1, $"{field}.{BlockName}.chunk_size", block.ChunkSize, "must be 1 or more");
        var session = ListwiseLoss.RequireSession(config, $"{field}.{BlockName}", block.SessionName);
        return new CoprLoss(config, block, session, block.BidName is { } bid ? [new($"{field}.{BlockName}.bid_name", bid)] : []);
    }

    public override LossColumn? Session => session;

    public override IReadOnlyList<LossColumn> Columns => columns;

    public override void RequireValues(LossInput input)
    {
        foreach (var column in columns)
            Require((bool)input.Columns[column.Name].gt(0).all(), column.Field, $"'{column.Name}', with a row of 0 or less or none", "bids must be above 0");
    }

    protected override Tensor Compare(LossInput input)
    {
        var student = LogEcpm(input, input.Student, Config.PredIsLogits);
        var chunks = input.Sessions.Ranks(LogEcpm(input, input.Teacher, Config.LabelIsLogits)).div(block.ChunkSize).floor();
        var (better, worse) = input.Sessions.Pairs(chunks.neg());
        if (better.numel() == 0)
            return input.Student.mul(0).sum();

        var padded = input.Sessions.Pad(chunks, -1);
        var count = padded.amax([1]).add(1);
        var idcg = count.unsqueeze(1).sub(padded).mul(Discount(padded.clamp_min(0))).mul(padded.ge(0)).sum(1);
        var discounts = Discount(chunks);
        // The gains' difference is the chunks' difference.
        var weights = Difference(chunks).mul(Difference(discounts)).abs().div(input.Sessions.Spread(idcg).index_select(0, better));
        return Mean(weights.mul(functional.softplus(Difference(student).neg())), input.Weights?.index_select(0, better));

        Tensor Difference(Tensor of) => of.index_select(0, better).sub(of.index_select(0, worse));
    }

    public override bool KnowsSlope => block.BidName is null && Config.PredIsLogits && Config.LabelIsLogits;

    public override double Slope(in LossSpans input, double scale, Span<float> gradient)
    {
        var n = input.Student.Length;
        if (n == 0)
            return 0;
        var (student, gains, discounts, weights, slopes) = (new float[n], new float[n], new float[n], new float[n], new float[n]);
        for (var i = 0; i < n; i++)
            student[i] = -Softplus(-input.Student[i]);
        input.Sessions.Ranks(input.Teacher, gains);
        for (var i = 0; i < n; i++)
        {
            var chunk = MathF.Floor(gains[i] / block.ChunkSize);
            gains[i] = -chunk;
            discounts[i] = 1 / MathF.Log2(2 + chunk);
        }
        for (var session = 0; session < input.Sessions.Count; session++)
        {
            var members = input.Sessions.Members(session);
            var (worst, idcg) = (0f, 0f);
            foreach (var i in members)
                worst = MathF.Max(worst, -gains[i]);
            foreach (var i in members)
                idcg += (worst + 1 + gains[i]) * discounts[i];
            foreach (var i in members)
                weights[i] = (input.Weights.IsEmpty ? 1 : input.Weights[i]) / idcg;
        }
        var value = PairSlopes.Mean(new DiscountedPair(), input.Sessions, student, gains, discounts, weights, slopes);
        // d log σ(s) = σ(−s).
        for (var i = 0; i < n; i++)
            gradient[i] += (float)(scale * slopes[i] / (1 + Math.Exp(input.Student[i])));
        return value;
    }

    private static float Softplus(float x) => MathF.Max(x, 0) + MathF.Log(1 + MathF.Exp(-MathF.Abs(x)));

    private Tensor LogEcpm(LossInput input, Tensor values, bool isLogits)
    {
        var logP = functional.softplus(Logits(values, isLogits).neg()).neg();
        return block.BidName is null ? logP : logP.add(input.Columns[block.BidName].log());
    }

    private static Tensor Discount(Tensor chunk) => chunk.add(2).log2().reciprocal();
}
