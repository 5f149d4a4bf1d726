using KdServing.Contracts;
using KdServing.Serving.Kernels;

namespace KdServing.Serving.Catalog;

/// <summary>How a server keeps its item catalog.</summary>
public sealed record CatalogOptions
{
    /// <summary>Folder of the snapshots; made when it is missing.</summary>
    public required string Folder { get; init; }

    /// <summary>Bulk file read when the server starts and whenever it is replaced; null: none.</summary>
    public string? ItemsFile { get; init; }

    /// <summary>What item vectors are kept as.</summary>
    public ItemVectorFormat Format { get; init; }

    /// <summary>Longest time a loaded version waits for its item vectors before it is swapped in all the same.</summary>
    public TimeSpan WaitLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Items the catalog may hold; puts beyond are refused.</summary>
    public int MaxItems { get; init; } = 10_000_000;

    /// <summary>Time between two snapshots of a catalog that changes.</summary>
    public TimeSpan SnapshotInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Time between two looks at the stream when it had nothing new.</summary>
    public TimeSpan PollInterval { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <exception cref="ContractException">An option makes no sense; names it as the command line does.</exception>
    public CatalogOptions Require()
    {
        if (File.Exists(Folder))
            throw new ContractException("--catalog", $"{Folder} is a file, not a folder");
        if (ItemsFile is not null && !File.Exists(ItemsFile))
            throw new ContractException("--items", $"there is no file {ItemsFile}");
        if (WaitLimit < TimeSpan.Zero || WaitLimit > TimeSpan.FromMinutes(10))
            throw new ContractException("--catalog-wait-ms", "must be 0 to 600000");
        if (MaxItems is < 1 or > 200_000_000)
            throw new ContractException("--catalog-max-items", $"is {MaxItems}; must be 1 to 200000000");
        return this;
    }
}
