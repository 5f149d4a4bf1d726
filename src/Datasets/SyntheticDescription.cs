namespace KdServing.Datasets;

/// <summary>Size and shape of generated interactions; see <see cref="SyntheticInteractions"/> for the model behind them.</summary>
public sealed record SyntheticDescription
{
    public int Seed { get; init; } = 1;

    public int Users { get; init; } = 2000;

    /// <summary>Items alive at any time; a new one replaces an old one.</summary>
    public int LiveItems { get; init; } = 400;

    /// <summary>Impressions between two arrivals of a new item.</summary>
    public int ImpressionsPerArrival { get; init; } = 50;

    /// <summary>Width of the latent factors.</summary>
    public int Factors { get; init; } = 8;

    /// <summary>Taste groups of users and topics of items; factors scatter around their group's centre.</summary>
    public int Topics { get; init; } = 16;

    public int Candidates { get; init; } = 51;

    /// <summary>Impressions per part.</summary>
    public int PreparationImpressions { get; init; } = 20_000;

    public int ReplayImpressions { get; init; } = 400_000;

    public long StartMs { get; init; } = 1_420_070_400_000;

    /// <summary>Event time between impressions.</summary>
    public long StepMs { get; init; } = 200;

    /// <summary>Standard deviation of each part of the true logit.</summary>
    public double AffinityScale { get; init; } = 1.2;

    public double PopularityScale { get; init; } = 0.6;

    public double PrivilegedScale { get; init; } = 0.8;

    /// <summary>Mean of the true logit.</summary>
    public double Bias { get; init; } = -3;

    /// <summary>How far a user's factors wander a day, relative to their size.</summary>
    public double DriftPerDay { get; init; } = 0.5;

    /// <summary>Calls <paramref name="require"/> with each rule and the words for breaking it.</summary>
    internal void Validate(Action<bool, string> require)
    {
        foreach (var (name, value) in ((string, long)[])[("users", Users), ("live_items", LiveItems), ("impressions_per_arrival", ImpressionsPerArrival),
            ("factors", Factors), ("topics", Topics), ("candidates", Candidates), ("preparation_impressions", PreparationImpressions),
            ("replay_impressions", ReplayImpressions), ("start_ms", StartMs), ("step_ms", StepMs)])
            require(value > 0, $"`synthetic.{name}` is {value}; must be above 0.");
        require(Candidates <= LiveItems, $"`synthetic.candidates` is {Candidates}, more than the {LiveItems} `live_items` there are to choose from.");
    }
}
