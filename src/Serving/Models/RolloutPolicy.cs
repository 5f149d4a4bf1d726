using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>How carefully a new version is taken into service.</summary>
public sealed record RolloutPolicy
{
    /// <summary>Mean rank churn against the version in service above which a new one is held back, 0 to 1; null: churn is reported only.</summary>
    public double? MaxChurn { get; init; }

    /// <summary>Share of the requests a new version gets at first; 0: it gets all at once.</summary>
    public double CanaryShare { get; init; }

    /// <summary>Share of the requests a new version also scores in shadow while it is a canary.</summary>
    public double ShadowShare { get; init; }

    /// <summary>Time a new version stays a canary.</summary>
    public TimeSpan CanaryTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time after a swap in which a version may be rolled back by itself.</summary>
    public TimeSpan Probation { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Share of the requests a version may fail that the one before could answer.</summary>
    public double MaxFailureShare { get; init; } = 0.001;

    /// <summary>How far the teacher's order may be missed beyond the version before, as a difference of overlap@10; null: not looked at.</summary>
    public double? MaxFidelityDrop { get; init; } = 0.1;

    /// <summary>Automatic rollbacks in a row after which no version is taken any more until a person releases the hold.</summary>
    public int RollbacksBeforeHold { get; init; } = 3;

    /// <exception cref="ContractException">A value makes no sense; names the option.</exception>
    public void Require()
    {
        RequireShare(MaxChurn ?? 0, "--max-churn");
        RequireShare(CanaryShare, "--canary-share");
        RequireShare(ShadowShare, "--shadow-share");
        RequireShare(MaxFailureShare, "--max-failure-share");
        RequireShare(MaxFidelityDrop ?? 0, "--max-fidelity-drop");
        if (!(CanaryTime.TotalSeconds >= 0))
            throw new ContractException("--canary-seconds", "must be 0 or more");
        if (!(Probation.TotalSeconds >= 0))
            throw new ContractException("--probation-seconds", "must be 0 or more");
        if (ShadowShare > 0 && CanaryShare == 0)
            throw new ContractException("--shadow-share", "needs --canary-share: versions are scored in shadow while they are canaries");
    }

    private static void RequireShare(double value, string option)
    {
        if (!(value >= 0 && value <= 1))
            throw new ContractException(option, $"is {value}; must be 0 to 1");
    }
}
