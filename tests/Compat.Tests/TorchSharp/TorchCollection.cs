namespace KdServing.Compat.Tests.TorchSharp;

/// <summary>These tests seed libtorch's one generator and count all live tensors, so they run one after the other.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class TorchCollection
{
    public const string Name = "libtorch";
}
