namespace KdServing.Serving.Kernels;

/// <summary>How <see cref="StudentKernel"/> multiplies.</summary>
internal enum KernelProducts
{
    /// <summary>A multiply-add an input: <see cref="DenseTiles"/>.</summary>
    Plain,

    /// <summary>Inputs taken in pairs, with half the multiplications: <see cref="PairTiles"/>.</summary>
    Pairs,

    /// <summary>On the processor's matrix unit: <see cref="MatrixTiles"/>.</summary>
    MatrixUnit,
}
