namespace KdServing.Serving.Accelerators;

/// <summary>How a device is used.</summary>
public sealed record DeviceOptions
{
    /// <summary>Runs that the device is given at a time, each with a thread of its own.</summary>
    public int Lanes { get; init; } = 2;

    /// <summary>Runs are captured once a size and replayed (CUDA graphs); false: each operator is started by itself.</summary>
    public bool ReplaysRuns { get; init; } = true;

    /// <summary>Item vectors of a catalog are kept on the device too.</summary>
    internal bool HasCatalog { get; init; }
}
