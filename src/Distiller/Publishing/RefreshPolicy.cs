using KdServing.Contracts;

namespace KdServing.Distiller.Publishing;

/// <summary>When a version is made, and which of them are bases: <c>refresh</c> of <c>distiller.json</c>.</summary>
public sealed record RefreshPolicy
{
    /// <summary>Seconds between versions; null: not by time.</summary>
    public double? Seconds { get; init; } = 5;

    /// <summary>Records learned between versions; null: not by count.</summary>
    public long? Records { get; init; }

    /// <summary>One version in so many is a base (whole tables, portable graph); the others carry changed rows only.</summary>
    public int BaseEvery { get; init; } = 20;

    /// <summary>
    /// The item encoder of a delta is that of its base: only bases move its dense weights. A server's item catalog then encodes again
    /// just the items whose embedding rows a delta changes. Training itself is not touched.
    /// </summary>
    public bool FreezeItemTower { get; init; }

    /// <summary>Bases kept, each with its deltas; what is older is removed when a new base is published.</summary>
    public int KeepBases { get; init; } = 3;

    /// <summary>File of the private key versions are signed with (<c>kd models keygen</c>); null: they are not.</summary>
    public string? SigningKey { get; init; }

    /// <summary>Versions also travel through Redis, for servers that share no file system; null: they do not.</summary>
    public TransferSettings? Transfer { get; init; }

    /// <exception cref="ContractException">A value makes no sense.</exception>
    public RefreshPolicy Require(string field)
    {
        if (Seconds is null && Records is null)
            throw new ContractException(field, "needs seconds or records");
        if (Seconds is { } s && !(s > 0 && double.IsFinite(s)))
            throw new ContractException($"{field}.seconds", "must be above 0");
        if (Records <= 0)
            throw new ContractException($"{field}.records", "must be above 0");
        if (BaseEvery < 1)
            throw new ContractException($"{field}.base_every", "must be at least 1 (1: every version is a base)");
        // A server may be reading the chain before the newest one.
        if (KeepBases < 2)
            throw new ContractException($"{field}.keep_bases", "must be at least 2");
        Transfer?.ToPolicy($"{field}.transfer");
        return this;
    }

    /// <summary>Is it time for a version? Never without news to publish.</summary>
    public bool IsDue(double secondsSince, long recordsSince) =>
        recordsSince > 0 && (secondsSince >= Seconds || recordsSince >= Records);

    /// <summary>Is the next version a base, when so many have been published since the last base (that one included)?</summary>
    public bool IsBaseDue(int publishedSinceBase) => publishedSinceBase == 0 || publishedSinceBase >= BaseEvery;
}
