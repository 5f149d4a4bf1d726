using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>What a loss compares; one row a candidate.</summary>
/// <param name="Student">Predictions: [N], or [N, C] for a loss that <see cref="DistillationLoss.TakesVectors"/>.</param>
/// <param name="Teacher">Soft labels, of the same shape unless the loss says otherwise.</param>
public sealed record LossInput(Tensor Student, Tensor Teacher, SessionIndex Sessions)
{
    /// <summary>Task-space weight of each candidate [N]; null: all 1.</summary>
    public Tensor? Weights { get; init; }

    /// <summary>Weight of each session [<see cref="SessionIndex.Count"/>], for losses over lists; null: all 1.</summary>
    public Tensor? SessionWeights { get; init; }

    /// <summary>Seeds what a loss samples: a function of the learner's seed and step.</summary>
    public ulong Draw { get; init; }

    /// <summary>The columns a loss asks for in <see cref="DistillationLoss.Columns"/>, by name; [N] each.</summary>
    public IReadOnlyDictionary<string, Tensor> Columns { get; init; } = new Dictionary<string, Tensor>();
}

/// <summary>A column that a <c>kd</c> entry names beside its prediction and soft label.</summary>
/// <param name="Field">Where it is named, e.g. <c>kd[0].hinton_loss.hard_label_name</c>.</param>
public sealed record LossColumn(string Field, string Name);

/// <summary>What a loss understands a soft label to be.</summary>
public enum SoftLabelKind
{
    /// <summary>A logit or a probability, as <c>label_is_logits</c> says.</summary>
    Prediction,

    /// <summary>A probability from 0 to 1, whatever <c>label_is_logits</c> says.</summary>
    Probability,

    /// <summary>The place among the candidates of the session, 1 the best.</summary>
    Position,

    /// <summary>0 or 1.</summary>
    Class,

    /// <summary>A vector, compared by direction and length.</summary>
    Embedding,
}
