namespace KdServing.Datasets;

/// <summary>What the rows of a dataset are for; <c>split</c> of dataset.json says which files belong to which part.</summary>
public enum DatasetPart
{
    /// <summary>Only builds up the running state of a click log (counts, co-occurrence); yields no impressions.</summary>
    WarmUp,

    /// <summary>History the teacher is prepared on before the replay.</summary>
    Preparation,

    /// <summary>What is streamed, in event order.</summary>
    Replay,

    /// <summary>Held out for offline evaluation; never replayed.</summary>
    Validation,
}
