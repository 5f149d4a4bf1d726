using KdServing.Contracts;

namespace KdServing.Distiller.Publishing;

/// <summary>Whether and how versions also travel through Redis: <c>refresh.transfer</c> of <c>distiller.json</c>.</summary>
public sealed record TransferSettings
{
    /// <summary>Kilobytes a chunk.</summary>
    public int ChunkKb { get; init; } = 1024;

    /// <summary>Seconds after which what nobody refreshed is gone from Redis; a base must come more often.</summary>
    public double ExpirySeconds { get; init; } = 3600;

    /// <summary>Megabytes all versions offered may take; a version for which there is no room is not offered.</summary>
    public long MaxMb { get; init; } = 1024;

    /// <exception cref="ContractException">A value makes no sense.</exception>
    public TransferPolicy ToPolicy(string field)
    {
        // Redis takes values of 512 MB, and stands still while it moves one.
        if (ChunkKb is < 1 or > 65_536)
            throw new ContractException($"{field}.chunk_kb", "must be 1 to 65536");
        if (!(ExpirySeconds >= 1 && ExpirySeconds <= TimeSpan.FromDays(365).TotalSeconds))
            throw new ContractException($"{field}.expiry_seconds", "must be 1 to a year's");
        if (MaxMb < 1)
            throw new ContractException($"{field}.max_mb", "must be at least 1");
        return new() { ChunkBytes = ChunkKb * 1024, Expiry = TimeSpan.FromSeconds(ExpirySeconds), MaxBytes = MaxMb << 20 };
    }
}
