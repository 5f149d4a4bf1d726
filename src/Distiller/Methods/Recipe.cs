using KdServing.Distiller.Losses;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Methods;

/// <summary>What a preset is made of: a <c>kd</c> list, hard labels, and parts.</summary>
public sealed record Recipe
{
    public IReadOnlyList<KdLossConfig> Kd { get; init; } = [];

    public required HardLabelConfig HardLabel { get; init; }

    /// <summary>Made in this order, which is also that in which they run.</summary>
    public IReadOnlyList<Func<PartContext, MethodPart>> Parts { get; init; } = [];

    /// <summary>Heads that <c>kd</c> entries may name beside the student's own, as <c>HEAD_logits</c>.</summary>
    public IReadOnlyList<string> Heads { get; init; } = [];

    /// <summary>Soft labels that the parts make.</summary>
    public IReadOnlyList<string> SoftLabels { get; init; } = [];

    /// <summary>Soft labels of the stream that parts read.</summary>
    public IReadOnlyList<SoftLabelSource> Sources { get; init; } = [];

    /// <summary>Hidden vectors of the stream that parts read.</summary>
    public HiddenSource? Hidden { get; init; }

    public bool ReadsPrivileged { get; init; }

    /// <summary>See <see cref="Method.StopsAtLower"/>.</summary>
    public bool StopsAtLower { get; init; }
}
