using BenchmarkDotNet.Attributes;
using KdServing.Contracts;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;

namespace KdServing.Benchmarks;

/// <summary>A request's columns to scores, by the hand-written kernel and by ONNX Runtime; and candidates whose vectors are known.</summary>
[MemoryDiagnoser]
public unsafe class KernelBenchmarks
{
    private const int CatalogItems = 100_000;

    private ReferenceStudent student = null!;
    private ScoringRun run = null!;
    private RankRequest request = null!;
    private RankRequest byId = null!;
    private NativeVectors vectors = null!;
    private nint[] chosen = null!;

    [Params(100, 500, 1000, 5000)]
    public int Candidates { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        student = new();
        request = student.Request(Candidates, raw: true);
        byId = new RankRequest(request);
        byId.Item.Clear();
        run = student.Servable.Rent();
        vectors = new(CatalogItems, student.Servable.Manifest.Signature.ItemVectorWidth);
        var random = new Random(1);
        chosen = [.. Enumerable.Range(0, Candidates).Select(_ => vectors.Address(random.Next(CatalogItems)))];
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        student.Servable.Return(run);
        student.Dispose();
        vectors.Dispose();
    }

    [Benchmark(Baseline = true)]
    public void OnnxRuntime()
    {
        student.Servable.Engine = ScoringEngine.OnnxRuntime;
        student.Servable.Score(request, run, CallBudget.Unlimited);
    }

    [Benchmark]
    public void Kernel()
    {
        student.Servable.Engine = ScoringEngine.Kernel;
        student.Servable.Score(request, run, CallBudget.Unlimited);
    }

    [Benchmark]
    public void KernelKnownVectors()
    {
        student.Servable.Engine = ScoringEngine.Kernel;
        student.Servable.Score(byId, chosen, ItemVectorFormat.Float32, run, CallBudget.Unlimited);
    }

    /// <summary>Where the processor has the vectors; else the same as <see cref="Kernel"/>.</summary>
    [Benchmark]
    public void PairKernel()
    {
        student.Servable.Engine = Pairs;
        student.Servable.Score(request, run, CallBudget.Unlimited);
    }

    [Benchmark]
    public void PairKernelKnownVectors()
    {
        student.Servable.Engine = Pairs;
        student.Servable.Score(byId, chosen, ItemVectorFormat.Float32, run, CallBudget.Unlimited);
    }

    /// <summary>Where the processor has a matrix unit; else the same as <see cref="Kernel"/>.</summary>
    [Benchmark]
    public void MatrixKernel()
    {
        student.Servable.Engine = Matrix;
        student.Servable.Score(request, run, CallBudget.Unlimited);
    }

    [Benchmark]
    public void MatrixKernelKnownVectors()
    {
        student.Servable.Engine = Matrix;
        student.Servable.Score(byId, chosen, ItemVectorFormat.Float32, run, CallBudget.Unlimited);
    }

    private static ScoringEngine Pairs => PairTiles.IsSupported ? ScoringEngine.PairKernel : ScoringEngine.Kernel;

    private static ScoringEngine Matrix => MatrixUnit.IsSupported ? ScoringEngine.MatrixKernel : ScoringEngine.Kernel;

    // 51 MB: several times the caches, as a catalog is.
    private sealed class NativeVectors : IDisposable
    {
        private readonly float* data;
        private readonly int width;

        public NativeVectors(int items, int width)
        {
            this.width = width;
            data = (float*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)((long)items * width * sizeof(float)), 64);
            new Span<float>(data, items * width).Fill(0.1f);
        }

        public nint Address(int item) => (nint)(data + (long)item * width);

        public void Dispose() => System.Runtime.InteropServices.NativeMemory.AlignedFree(data);
    }
}
