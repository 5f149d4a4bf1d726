using System.Globalization;

namespace KdServing.Benchmarks.Slopes;

/// <summary>The least a catalog candidate can cost on one core: its arithmetic at the rate of OpenBLAS, and its bytes at the rate of memory.</summary>
/// <remarks>One after the other: code that overlaps them may come below. The user's part and the request's own cost are the intercept's.</remarks>
internal sealed record SlopeFloor(double Gflops, double ReadGBs)
{
    /// <summary>The catalog path's slope at most, in floors.</summary>
    public const double Goal = 1.3;

    /// <summary>User's part onto the item vector, 128 → 64 → 1.</summary>
    public const int Flops = RandomLayers.First + 2 * RandomLayers.First * RandomLayers.Second + 2 * RandomLayers.Second;

    /// <summary>The item vector, its id, and the score.</summary>
    public const int Bytes = RandomLayers.First * sizeof(float) + sizeof(long) + sizeof(float);

    public double Ns => Flops / Gflops + Bytes / ReadGBs;

    /// <summary>Why the floor is none, with the remedy; null when it is one.</summary>
    /// <param name="slopeNs">Of the catalog path, without a wire.</param>
    public string? Fault(double slopeNs) => Flops / Gflops < slopeNs ? null : string.Create(CultureInfo.InvariantCulture,
        $"OpenBLAS multiplies at {Gflops:0} GFLOP/s, slower than all of a candidate here: it does not know this processor, and its rate is no floor; set OPENBLAS_CORETYPE (SKYLAKEX for AVX-512)");

    /// <param name="slopeNs">Of the catalog path, without a wire.</param>
    public string Verdict(double slopeNs) => string.Create(CultureInfo.InvariantCulture,
        $"Floor of a catalog candidate: {Flops:N0} FLOP at {Gflops:0.0} GFLOP/s (OpenBLAS sgemm, one thread) and {Bytes} bytes at {ReadGBs:0.0} GB/s (streaming read, one thread): {Ns:0} ns.\n"
        + $"Slope {slopeNs:0} ns = {slopeNs / Ns:0.00} times the floor; goal {Goal:0.0}: {(slopeNs <= Goal * Ns ? "met" : "not met")}.\n");
}
