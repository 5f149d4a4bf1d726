using KdServing.Distiller.Students;
using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>Which of the student's representations a hint guides.</summary>
public enum GuidedLayer
{
    /// <summary>What enters its last layer.</summary>
    Hidden,

    /// <summary>The output of its lower layers (<see cref="Student.Lower"/>).</summary>
    Lower,
}

/// <summary>Takes the guided representation from a step.</summary>
internal static class Guided
{
    public static int Width(StudentConfig shape, GuidedLayer layer) => layer == GuidedLayer.Lower ? shape.LowerWidth : shape.HiddenWidth;

    /// <returns>[N, width], with its gradient path.</returns>
    public static Tensor Of(LearningStep step, GuidedLayer layer) => layer == GuidedLayer.Lower ? step.Lower! : step.Hidden!;

    /// <summary>Places of the candidates that have a teacher vector; null when all have.</summary>
    public static long[]? Places(bool[]? known) => known is null || !known.Contains(false)
        ? null
        : [.. Enumerable.Range(0, known.Length).Where(i => known[i]).Select(i => (long)i)];
}
