using BenchmarkDotNet.Attributes;
using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Benchmarks;

/// <summary>A version's way: written by the exporter, loaded by the server (verified, opened, compared), swapped in. 20 tables of 100,000 rows × 16, 128 MB.</summary>
/// <remarks>Writing flushes to the disk; its time is the disk's.</remarks>
[IterationCount(5), WarmupCount(1), InvocationCount(1)]
public class VersionBenchmarks
{
    private const int ChangedRows = 1000; // of each table, about what two seconds of training touch

    private ReferenceStudent student = null!;
    private ServableLoader loader = null!;
    private ScoringBufferPool pool = null!;
    private InferenceRuntime runtime = null!;
    private ServableSlot slot = null!;
    private Servable held = null!;
    private Servable? loaded;

    [GlobalSetup]
    public void SetUp()
    {
        student = new();
        (pool, runtime, slot) = (new(), InferenceRuntime.Open(InferenceDevice.Cpu), new());
        loader = new(new ModelRepository(student.Folder), runtime, pool, new(), TimeSpan.FromSeconds(1));
        student.PublishDelta(ChangedRows);
        held = loader.Load(ReferenceStudent.Model, 1, held: null);
        slot.Swap(held);
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        slot.Swap(null);
        held.Dispose();
        student.Dispose();
        pool.Dispose();
        runtime.Dispose();
    }

    [IterationCleanup]
    public void DisposeLoaded()
    {
        loaded?.Dispose();
        loaded = null;
    }

    [Benchmark]
    public void ExportDelta() => student.PublishDelta(ChangedRows);

    [Benchmark]
    public void LoadBase() => loaded = loader.Load(ReferenceStudent.Model, 1, held: null);

    [Benchmark]
    public void LoadDelta() => loaded = loader.Load(ReferenceStudent.Model, 2, held);

    [Benchmark(OperationsPerInvoke = 1000)]
    public void Swap()
    {
        for (var n = 0; n < 1000; n++)
            slot.Swap(held);
    }

    [Benchmark(OperationsPerInvoke = 1000)]
    public void AcquireAndRelease()
    {
        for (var n = 0; n < 1000; n++)
        {
            if (slot.TryAcquire(out var lease))
                lease.Dispose();
        }
    }
}
