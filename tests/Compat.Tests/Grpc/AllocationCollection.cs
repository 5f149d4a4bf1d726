namespace KdServing.Compat.Tests;

/// <summary>Tests that count what the process allocates; no other test runs beside them.</summary>
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
public sealed class AllocationCollection;
