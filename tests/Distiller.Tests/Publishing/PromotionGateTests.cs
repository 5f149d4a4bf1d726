using KdServing.Contracts;
using KdServing.Distiller.Evaluation;
using KdServing.Distiller.Publishing;

namespace KdServing.Distiller.Tests.Publishing;

public sealed class PromotionGateTests
{
    private static readonly GatePolicy Policy = new() { MinImpressions = 100, MaxLoss = 0.002, MaxAgeSeconds = 600 };

    // Nothing serves yet, nothing to compare with: publish.
    [Fact]
    public void The_first_version_is_published() => AssertPublished(Differences(0, 0), ageSeconds: null, "no version serves yet");

    // Too few impressions for a verdict: the fresher version wins.
    [Fact]
    public void Without_evidence_the_fresher_version_is_published() =>
        AssertPublished(Differences(99, -0.5), ageSeconds: 5, "only 99 of 100 impressions");

    // Better: publish.
    [Fact]
    public void A_better_candidate_is_published() => AssertPublished(Differences(200, +0.03), ageSeconds: 5, "GAUC +0.0300");

    // Equal: publish, it is fresher.
    [Fact]
    public void An_equal_candidate_is_published() => AssertPublished(Differences(200, 0), ageSeconds: 5, "GAUC +0.0000");

    // Worse by less than is allowed: publish.
    [Fact]
    public void A_loss_within_the_allowance_is_published() => AssertPublished(Differences(200, -0.001, spread: 0), ageSeconds: 5, "GAUC -0.0010");

    // Worse, but so uncertain that it may be chance: publish.
    [Fact]
    public void A_loss_that_may_be_chance_is_published() => AssertPublished(Differences(100, -0.01, spread: 0.5), ageSeconds: 5, "GAUC -0.0100");

    // Surely worse: hold.
    [Fact]
    public void A_candidate_that_is_surely_worse_is_held() => AssertHeld(Differences(400, -0.05), ageSeconds: 5, "worse than the 0.002 allowed");

    // Surely worse, but the incumbent is beyond its age: publish.
    [Fact]
    public void An_incumbent_past_its_age_gives_way() => AssertPublished(Differences(400, -0.05), ageSeconds: 601, "older than 600 s");

    // Surely worse and no age limit: hold, however old the incumbent is.
    [Fact]
    public void Without_an_age_limit_a_worse_candidate_is_held() =>
        AssertDecision(false, Differences(400, -0.05), 1e9, Policy with { MaxAgeSeconds = null }, "worse than");

    // Logits are not numbers: hold, even with no incumbent.
    [Fact]
    public void A_candidate_that_diverged_is_held_always()
    {
        var comparison = new GateComparison();
        comparison.Add(Session, [1, float.NaN, 0], []);

        AssertHeld(comparison, ageSeconds: null, "not finite");
    }

    [Fact]
    public void A_comparison_pairs_the_auc_of_impressions_with_both_labels()
    {
        var comparison = new GateComparison();

        comparison.Add(Session, candidate: [3, 1, 2], incumbent: [1, 3, 2]);
        comparison.Add(new([1, 1], [1, 1], [0, 0]), candidate: [1, 2], incumbent: [1, 2]);

        Assert.Equal(1, comparison.Impressions);
        Assert.Equal(1.0, comparison.Mean);
    }

    [Fact]
    public void A_policy_that_makes_no_sense_names_its_field()
    {
        Assert.Equal("gate.window", Assert.Throws<ContractException>(() => new GatePolicy { Window = 0 }.Require("gate")).Field);
        Assert.Equal("gate.min_impressions", Assert.Throws<ContractException>(() => new GatePolicy { MinImpressions = 600 }.Require("gate")).Field);
        Assert.Equal("gate.max_loss", Assert.Throws<ContractException>(() => new GatePolicy { MaxLoss = double.NaN }.Require("gate")).Field);
        Assert.Equal("gate.standard_errors", Assert.Throws<ContractException>(() => new GatePolicy { StandardErrors = -1 }.Require("gate")).Field);
        Assert.Equal("gate.max_age_seconds", Assert.Throws<ContractException>(() => new GatePolicy { MaxAgeSeconds = 0 }.Require("gate")).Field);
        Assert.Equal(512, new GatePolicy().Require("gate").Window);
    }

    // One positive, one sampled negative whose label nobody sent, one labelled negative.
    private static LabelledSession Session => new([1, 0, 2], [1, 2, 2], [0, -1, -1]);

    private static GateComparison Differences(int count, double mean, double spread = 0.1)
    {
        var comparison = new GateComparison();
        for (var i = 0; i < count; i++)
            comparison.Add(mean + (i % 2 == 0 ? spread : -spread));
        return comparison;
    }

    private static void AssertPublished(GateComparison comparison, double? ageSeconds, string reason) =>
        AssertDecision(true, comparison, ageSeconds, Policy, reason);

    private static void AssertHeld(GateComparison comparison, double? ageSeconds, string reason) =>
        AssertDecision(false, comparison, ageSeconds, Policy, reason);

    private static void AssertDecision(bool publish, GateComparison comparison, double? ageSeconds, GatePolicy policy, string reason)
    {
        var decision = PromotionGate.Decide(comparison, ageSeconds, policy);
        Assert.Contains(reason, decision.Reason);
        Assert.Equal(publish, decision.Publish);
    }
}
