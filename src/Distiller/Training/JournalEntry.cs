using KdServing.Distiller.Publishing;

namespace KdServing.Distiller.Training;

/// <summary>Entries of one stream that belong to a batch: those after one id up to another.</summary>
/// <param name="Count">How many there were; fewer now means that the stream was trimmed.</param>
public sealed record StreamRange(string After, string Last, int Count);

/// <summary>A batch, by the entries it consists of; within it they are in the order of their ids, then of their streams.</summary>
/// <param name="Number">From 1, without gaps, since the model began.</param>
public sealed record BatchCut(long Number, IReadOnlyDictionary<string, StreamRange> Sources);

/// <summary>How a draft ended.</summary>
public enum DraftEnd
{
    Published,

    /// <summary>The gate kept the incumbent.</summary>
    Held,

    /// <summary>The disk or the parity check refused it.</summary>
    Failed,
}

/// <summary>What became of the newest draft; decided once, never judged again.</summary>
public sealed record DraftOutcome(long Version, DraftEnd End);

/// <summary>A history begins: a new model, or one whose journal could not be followed any further.</summary>
/// <param name="NewestVersion">Of the repository; the next version follows it, and is a base.</param>
public sealed record HistoryStart(string Reason, long NewestVersion, string Configuration);

/// <summary>
/// One decision of the owner, written to the journal before it takes effect. Training is a function of these and of the streams'
/// entries alone: whoever follows the journal from a checkpoint arrives at the same weights, bit for bit.
/// </summary>
public sealed record JournalEntry
{
    /// <summary>The owner's fencing epoch.</summary>
    public required long Epoch { get; init; }

    /// <summary>Of the history; another one's entries are not followed.</summary>
    public required string Life { get; init; }

    public HistoryStart? Begin { get; init; }

    public BatchCut? Batch { get; init; }

    /// <summary>A version is drafted from the weights of now.</summary>
    public VersionPlan? Draft { get; init; }

    public DraftOutcome? Outcome { get; init; }

    /// <summary>From now on servers rank with this version; it is scored as <c>student</c>.</summary>
    public long? Live { get; init; }
}
