using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Distiller.Offline;

/// <summary>Which of the cross-fitted logits a training row's soft label is.</summary>
public enum OfflineSoftLabels
{
    /// <summary>Mean of all networks, K − 1 of K of which have learned the row: steadier, but closer to the label.</summary>
    Mean,

    /// <summary>Only of networks that have not seen the row.</summary>
    OutOfFold,
}

/// <summary><c>offline</c> of distiller.json: training from files.</summary>
public sealed record OfflineConfig
{
    /// <summary>Epochs at most.</summary>
    public int Epochs { get; init; } = 40;

    /// <summary>Stop when the inner split's AUC has not risen for so many epochs; the best epoch's weights are kept.</summary>
    public int Patience { get; init; } = 3;

    /// <summary>Share of the training groups that nobody learns from: they decide when to stop and what is chosen.</summary>
    public double InnerShare { get; init; } = 0.05;

    /// <summary>Take at most the last so many impressions of the training part; 0: all. They are held in memory.</summary>
    public int MaxImpressions { get; init; }

    public OfflineSoftLabels SoftLabels { get; init; } = OfflineSoftLabels.Mean;

    /// <summary>Unexposed candidates that the teacher scores, for each exposed one; 0: none.</summary>
    public double Unexposed { get; init; }

    /// <summary>Draws of unexposed candidates; epochs take them in turn.</summary>
    public int UnexposedDraws { get; init; } = 4;

    /// <summary>Impressions whose order is compared with the teacher's, each filled up to <see cref="ProbeCandidates"/> with drawn items.</summary>
    public int Probes { get; init; } = 300;

    public int ProbeCandidates { get; init; } = 100;

    /// <summary>For <c>compare</c>: the blocks of presets, by name; presets without one have their defaults.</summary>
    public IReadOnlyDictionary<string, JsonElement> Presets { get; init; } = new Dictionary<string, JsonElement>();

    /// <exception cref="ContractException">Names the field and what it must be.</exception>
    public void Require(string field)
    {
        Range(Epochs, 1, 100_000, "epochs");
        Range(Patience, 1, 100_000, "patience");
        if (!(InnerShare is > 0 and <= 0.5))
            throw new ContractException($"{field}.inner_share", $"is {InnerShare}; must lie in (0, 0.5]");
        Range(MaxImpressions, 0, int.MaxValue, "max_impressions");
        if (!(Unexposed is >= 0 and <= 100))
            throw new ContractException($"{field}.unexposed", $"is {Unexposed}; must be from 0 to 100");
        Range(UnexposedDraws, 1, 1000, "unexposed_draws");
        Range(Probes, 0, 1_000_000, "probes");
        Range(ProbeCandidates, 11, 100_000, "probe_candidates");

        void Range(int value, int low, int high, string name)
        {
            if (value < low || value > high)
                throw new ContractException($"{field}.{name}", $"is {value}; must be from {low} to {high}");
        }
    }
}
