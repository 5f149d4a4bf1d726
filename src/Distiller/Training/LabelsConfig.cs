namespace KdServing.Distiller.Training;

/// <summary><c>labels</c> of distiller.json: labels that arrive after their records, on <c>kd:{model}:labels</c>.</summary>
public sealed record LabelsConfig
{
    /// <summary>How long after its record, in event time, a label is still learned.</summary>
    public double WindowSeconds { get; init; } = 600;

    /// <summary>Records that may wait for labels; beyond, the oldest is given up. Each is part of every checkpoint.</summary>
    public int MaxOpen { get; init; } = 20_000;
}
