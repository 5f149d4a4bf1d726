using System.Globalization;
using KdServing.Contracts;

namespace KdServing.Distiller.Publishing;

/// <summary><c>gate</c> of <c>distiller.json</c>.</summary>
public sealed record GatePolicy
{
    /// <summary>Held-out impressions both versions score: the last so many.</summary>
    public int Window { get; init; } = 512;

    /// <summary>With fewer comparable impressions there is no verdict, and the fresher version is published.</summary>
    public int MinImpressions { get; init; } = 100;

    /// <summary>GAUC a candidate may lose before it is held.</summary>
    public double MaxLoss { get; init; } = 0.002;

    /// <summary>How sure the loss must be: standard errors between the mean difference and −<see cref="MaxLoss"/>. 1.645: 95 %, one-sided.</summary>
    public double StandardErrors { get; init; } = 1.645;

    /// <summary>
    /// An incumbent older than this gives way even to a worse candidate; null: never. The impressions compared are recent, so what
    /// age costs the incumbent is in the comparison already; the limit is for who must not serve an old version at any price.
    /// A candidate with logits that are not finite is held at any age.
    /// </summary>
    public double? MaxAgeSeconds { get; init; }

    /// <exception cref="ContractException">A value makes no sense.</exception>
    public GatePolicy Require(string field)
    {
        if (Window < 1)
            throw new ContractException($"{field}.window", "must be at least 1");
        if (MinImpressions < 2 || MinImpressions > Window)
            throw new ContractException($"{field}.min_impressions", "must be from 2 to window");
        if (!(MaxLoss >= 0))
            throw new ContractException($"{field}.max_loss", "must be 0 or more");
        if (!(StandardErrors >= 0))
            throw new ContractException($"{field}.standard_errors", "must be 0 or more");
        if (MaxAgeSeconds is { } age && !(age > 0))
            throw new ContractException($"{field}.max_age_seconds", "must be above 0");
        return this;
    }
}

/// <summary>Publish or hold, and why in words.</summary>
public sealed record GateDecision(bool Publish, string Reason);

/// <summary>Decides whether a candidate replaces the incumbent: it does unless it is surely worse. A pure function.</summary>
public static class PromotionGate
{
    /// <param name="incumbentAgeSeconds">Null when no version serves yet.</param>
    public static GateDecision Decide(GateComparison comparison, double? incumbentAgeSeconds, GatePolicy policy)
    {
        if (!comparison.IsCandidateFinite)
            return Hold("the candidate's logits are not finite");
        if (incumbentAgeSeconds is null)
            return Publish("no version serves yet");
        if (comparison.Impressions < policy.MinImpressions)
            return Publish($"only {comparison.Impressions} of {policy.MinImpressions} impressions to compare on");
        var difference = string.Create(CultureInfo.InvariantCulture,
            $"GAUC {comparison.Mean:+0.0000;-0.0000} ± {comparison.StandardError:0.0000} on {comparison.Impressions} held-out impressions");
        if (comparison.Mean + policy.StandardErrors * comparison.StandardError >= -policy.MaxLoss)
            return Publish(difference);
        return incumbentAgeSeconds > policy.MaxAgeSeconds
            ? Publish($"{difference}, worse, but the incumbent is older than {policy.MaxAgeSeconds} s")
            : Hold($"{difference}, worse than the {policy.MaxLoss} allowed");
    }

    private static GateDecision Publish(string reason) => new(true, reason);

    private static GateDecision Hold(string reason) => new(false, reason);
}
