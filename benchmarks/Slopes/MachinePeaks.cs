using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using KdServing.Distiller;
using static TorchSharp.torch;

namespace KdServing.Benchmarks.Slopes;

/// <summary>What one core of this machine can do, measured with code that is not ours where it computes: OpenBLAS's sgemm (by libtorch), and a streaming read.</summary>
internal sealed unsafe class MachinePeaks : IDisposable
{
    // More than the last-level cache of any server we know gives one virtual machine.
    private const int StreamBytes = 512 << 20;
    private const int Square = 1024;

    private readonly float* stream = (float*)NativeMemory.AlignedAlloc((nuint)StreamBytes, 1 << 21);
    private readonly (Tensor Inputs, Tensor Weights)[] products;
    private readonly List<double> gflops = [];
    private readonly List<double> peak = [];
    private readonly List<double> gbs = [];

    /// <param name="layer">Rows, inputs and outputs of the product whose rate counts; a large square is measured too, and the better of the two is the floor.</param>
    public MachinePeaks((int Rows, int Inputs, int Outputs) layer)
    {
        NativeLibraries.Require(threads: 1);
        new Span<float>(stream, StreamBytes / sizeof(float)).Fill(1);
        products = [(Random(layer.Rows, layer.Inputs), Random(layer.Outputs, layer.Inputs)), (Random(Square, Square), Random(Square, Square))];
    }

    /// <summary>Billions of multiplications and additions a second, one thread; median over the rounds of the better shape.</summary>
    public double SgemmGflops => Median.Of(gflops);

    /// <summary>The same of nothing but multiply-adds in registers; median over the rounds.</summary>
    public double PeakGflops => Median.Of(peak);

    /// <summary>Billions of bytes a second read in order, one thread; median over the rounds.</summary>
    public double ReadGBs => Median.Of(gbs);

    /// <summary>Measures both once more, between measurements of what they are compared with.</summary>
    public void Sample()
    {
        peak.Add(Peak());
        gflops.Add(products.Max(Rate));
        gbs.Add(Read());
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(stream);
        foreach (var (inputs, weights) in products)
        {
            inputs.Dispose();
            weights.Dispose();
        }
    }

    private static Tensor Random(int rows, int columns)
    {
        var random = new Random(1);
        return tensor([.. Enumerable.Range(0, rows * columns).Select(_ => random.NextSingle())], [rows, columns]);
    }

    private static double Rate((Tensor Inputs, Tensor Weights) product)
    {
        var flops = 2.0 * product.Inputs.shape[0] * product.Inputs.shape[1] * product.Weights.shape[0];
        var calls = Math.Max(1, (int)(1e9 / flops));
        Multiply(product, 1);
        var started = Stopwatch.GetTimestamp();
        Multiply(product, calls);
        return flops * calls / Stopwatch.GetElapsedTime(started).TotalNanoseconds;
    }

    private static void Multiply((Tensor Inputs, Tensor Weights) product, int calls)
    {
        using var quiet = no_grad();
        for (var i = 0; i < calls; i++)
            nn.functional.linear(product.Inputs, product.Weights).Dispose();
    }

    // Twelve sums that do not wait for one another, as many as hide the latency of two multiply-add units.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Peak()
    {
        const int turns = 2_000_000;
        const int sums = 12;
        var (x, y) = (Vector512.Create(0.999f), Vector512.Create(1e-3f));
        Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        var started = Stopwatch.GetTimestamp();
        for (var turn = 0; turn < turns; turn++)
        {
            a = Vector512.FusedMultiplyAdd(a, x, y);
            b = Vector512.FusedMultiplyAdd(b, x, y);
            c = Vector512.FusedMultiplyAdd(c, x, y);
            d = Vector512.FusedMultiplyAdd(d, x, y);
            e = Vector512.FusedMultiplyAdd(e, x, y);
            f = Vector512.FusedMultiplyAdd(f, x, y);
            g = Vector512.FusedMultiplyAdd(g, x, y);
            h = Vector512.FusedMultiplyAdd(h, x, y);
            i = Vector512.FusedMultiplyAdd(i, x, y);
            j = Vector512.FusedMultiplyAdd(j, x, y);
            k = Vector512.FusedMultiplyAdd(k, x, y);
            l = Vector512.FusedMultiplyAdd(l, x, y);
        }
        var took = Stopwatch.GetElapsedTime(started).TotalNanoseconds;
        return Used(a + b + c + d + e + f + g + h + i + j + k + l, 2.0 * turns * sums * Vector512<float>.Count / took);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private double Read()
    {
        var started = Stopwatch.GetTimestamp();
        var (a, b, c, d) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
        for (float* p = stream, end = stream + StreamBytes / sizeof(float); p < end; p += 64)
        {
            a += Vector512.LoadAligned(p);
            b += Vector512.LoadAligned(p + 16);
            c += Vector512.LoadAligned(p + 32);
            d += Vector512.LoadAligned(p + 48);
        }
        var took = Stopwatch.GetElapsedTime(started).TotalNanoseconds;
        return Used(a + b + c + d, StreamBytes / took);
    }

    // What was computed is looked at, so that it is not removed as useless.
    private static double Used(Vector512<float> sum, double rate) =>
        Vector512.Sum(sum) > 0 ? rate : throw new InvalidOperationException("the sum of positive numbers is not positive");
}
