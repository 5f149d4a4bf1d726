using KdServing.Contracts;

namespace KdServing.Distiller.Losses;

/// <summary>A factor that changes with the steps a learner has taken: a straight line <see cref="From"/> one value <see cref="To"/> another.</summary>
/// <remarks>
/// A jump when <see cref="Steps"/> is 0. It depends on the step alone, so a restored learner goes on where it was.
/// <code>
/// "weight_schedule": { "from": 0, "to": 1, "start": 1000, "steps": 500 }
/// </code>
/// </remarks>
public sealed record Schedule
{
    /// <summary>The factor until <see cref="Start"/>; null: <see cref="From"/>.</summary>
    public double? Before { get; init; }

    public double From { get; init; }

    public double To { get; init; } = 1;

    /// <summary>Steps taken when the line begins.</summary>
    public long Start { get; init; }

    /// <summary>Length of the line; 0: a jump.</summary>
    public long Steps { get; init; }

    /// <param name="step">Steps taken before this one.</param>
    public double At(long step) => step < Start ? Before ?? From
        : step >= Start + Steps ? To
        : From + (To - From) * (step - Start) / Steps;

    /// <exception cref="ContractException">Names the field and what it must be.</exception>
    public void Require(string field)
    {
        RequireFactor(Before ?? 0, $"{field}.before");
        RequireFactor(From, $"{field}.from");
        RequireFactor(To, $"{field}.to");
        if (Start < 0)
            throw new ContractException($"{field}.start", $"is {Start}; must be 0 or more");
        if (Steps < 0)
            throw new ContractException($"{field}.steps", $"is {Steps}; must be 0 or more");
    }

    private static void RequireFactor(double value, string field)
    {
        if (!double.IsFinite(value) || value < 0)
            throw new ContractException(field, FormattableString.Invariant($"is {value}; must be 0 or more"));
    }
}
