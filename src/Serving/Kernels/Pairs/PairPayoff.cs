using System.Diagnostics;
using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>Whether this processor multiplies faster in pairs: measured, for it depends on which of its units add.</summary>
internal static unsafe class PairPayoff
{
    private const int Inputs = 192;
    private const int Outputs = 64;

    // A millisecond in all. The shortest of so many is the one that nobody else's work was in.
    private const int Rounds = 50;

    private static readonly Lazy<bool> Measured = new(Measure);

    /// <summary>Measured when first asked for.</summary>
    public static bool Pays => Measured.Value;

    private static bool Measure()
    {
        if (!PairTiles.IsSupported)
            return false;
        var random = new Random(1);
        float[] weights = [.. Enumerable.Range(0, Inputs * Outputs).Select(_ => random.NextSingle() - 0.5f)];
        using var layer = new PackedLayer(weights, [], Inputs, Outputs);
        using var from = new NativeBuffer();
        using var to = new NativeBuffer();
        from.Reserve(StudentKernel.BlockRows * Inputs * sizeof(float));
        to.Reserve(StudentKernel.BlockRows * Outputs * sizeof(float));
        for (var i = 0; i < StudentKernel.BlockRows * Inputs; i++)
            from.Floats[i] = random.NextSingle() - 0.5f;
        var (plain, pairs) = (TimeSpan.MaxValue, TimeSpan.MaxValue);
        for (var round = 0; round < Rounds; round++)
        {
            var nothing = default(RowsAhead);
            var start = Stopwatch.GetTimestamp();
            DenseTiles.Multiply(layer, from.Floats, Inputs, StudentKernel.BlockRows, layer.Bias, 0, to.Floats, relu: true, ref nothing);
            var between = Stopwatch.GetTimestamp();
            PairTiles.Multiply(layer, from.Floats, Inputs, StudentKernel.BlockRows, layer.Bias, 0, to.Floats, relu: true, ref nothing);
            var end = Stopwatch.GetTimestamp();
            plain = Shorter(plain, Stopwatch.GetElapsedTime(start, between));
            pairs = Shorter(pairs, Stopwatch.GetElapsedTime(between, end));
        }
        // By how much it pays depends on who else is on the core: 5 to 18 %. Where the same units add and multiply, three steps stand against two.
        return pairs < plain;
    }

    private static TimeSpan Shorter(TimeSpan one, TimeSpan other) => one < other ? one : other;
}
