namespace KdServing.Distiller.Losses;

/// <summary>What a loss compares, as plain numbers, for losses that know their own slope; one row a candidate.</summary>
public readonly ref struct LossSpans
{
    /// <summary>Logits, [N].</summary>
    public required ReadOnlySpan<float> Student { get; init; }

    /// <summary>What <see cref="DistillationLoss.LabelKind"/> says, [N].</summary>
    public required ReadOnlySpan<float> Teacher { get; init; }

    public required SessionIndex Sessions { get; init; }

    /// <summary>Weight of each candidate, [N]; empty: all 1.</summary>
    public ReadOnlySpan<float> Weights { get; init; }

    /// <summary>Weight of each session, [<see cref="SessionIndex.Count"/>]; empty: all 1.</summary>
    public ReadOnlySpan<float> SessionWeights { get; init; }
}
