using KdServing.Contracts;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>EasyRec's <c>listwise_rank_loss</c> block.</summary>
public sealed record ListwiseRankBlock
{
    public double Temperature { get; init; } = 1;

    /// <summary>What a session is; here always the record, so <c>request_id</c>.</summary>
    public string? SessionName { get; init; }

    /// <summary>
    /// True: the target is softmax(t/T). False: t is taken as it is, not normalised. EasyRec defaults to false, which on logits
    /// silently trains on negative "probabilities"; left out, it follows the entry's <c>label_is_logits</c> here.
    /// </summary>
    public bool? LabelIsLogits { get; init; }
}

/// <summary>ListNet: per session −Σ y·log_softmax(s/T), mean over sessions.</summary>
/// <remarks>
/// dL/ds_i = (softmax(s/T)_i · Σ y − y_i) / (G·T) with G sessions. A session of one candidate contributes 0 and counts.
/// Memory is sessions × longest session.
/// </remarks>
public sealed class ListwiseRankLoss : DistillationLoss
{
    public const string Session = "request_id";
    private const string BlockName = "listwise_rank_loss";

    // A padded place: far below every logit, yet finite, so that 0 × log_softmax stays 0.
    private const double Absent = -1e30;

    private readonly double temperature;
    private readonly bool labelIsLogits;

    public ListwiseRankLoss(KdLossConfig config, ListwiseRankBlock block) : base(config)
    {
        temperature = block.Temperature;
        labelIsLogits = block.LabelIsLogits ?? config.LabelIsLogits;
    }

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<ListwiseRankBlock>(BlockName, field);
        RequireTemperature(block.Temperature, $"{field}.{BlockName}.temperature");
        if (config.Temperature != 1)
            throw new ContractException($"{field}.temperature", $"is not used by {config.LossType}; set {BlockName}.temperature");
        if (config.ScaleByT2)
            throw new ContractException($"{field}.scale_by_t2", $"is for pointwise losses; weigh {config.LossType} with loss_weight");
        if (!config.PredIsLogits)
            throw new ContractException($"{field}.pred_is_logits", $"must be true for {config.LossType}");
        if (block.SessionName != Session)
            throw new ContractException($"{field}.{BlockName}.session_name", $"must be '{Session}': a session is one record");
        return new ListwiseRankLoss(config, block);
    }

    public override Tensor Value(Tensor student, Tensor teacher, SessionIndex sessions)
    {
        var s = sessions.Pad(student, Absent).div(temperature);
        var t = labelIsLogits
            ? functional.softmax(sessions.Pad(teacher.detach(), Absent).div(temperature), 1)
            : sessions.Pad(teacher.detach(), 0);
        return functional.log_softmax(s, 1).mul(t).sum().div(-sessions.Count);
    }
}
