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

    /// <summary>Billions of bytes a second read in order, one thread; median over the rounds.</summary>
    public double ReadGBs => Median.Of(gbs);

    /// <summary>Measures both once more, between measurements of what they are compared with.</summary>
    public void Sample()
    {
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
        // What was read is looked at, so that it is not removed as useless.
        return Vector512.Sum(a + b + c + d) > 0 ? StreamBytes / took : throw new InvalidOperationException("the sum of positive numbers is not positive");
    }
}
