using System.Diagnostics;
using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Serving.Models;

namespace KdServing.Benchmarks.Refreshes;

/// <summary>Drafts, writes, loads and swaps versions of one size, again and again, in one process; one thread.</summary>
/// <remarks>Trainer and server are in one process here, so what is told of memory is what a step added, not what the process holds.</remarks>
internal sealed partial class RefreshMeasurement : IDisposable
{
    private const double MB = 1e6;

    private readonly string folder = Directory.CreateTempSubdirectory("kd-bench-").FullName;
    private readonly InferenceRuntime runtime = InferenceRuntime.Open(InferenceDevice.Cpu);
    private readonly ScoringBufferPool pool = new();
    private readonly ServableSlot slot = new();
    private readonly RefreshModel model;
    private readonly ModelRepository repository;
    private readonly ServableLoader loader;
    private readonly long rows;
    private VersionWriter writer = null!;
    private Servable? held;

    public RefreshMeasurement(long rows)
    {
        this.rows = rows;
        model = new(rows);
        repository = new(folder);
        loader = new(repository, runtime, pool, new(), TimeSpan.FromSeconds(1));
    }

    /// <summary>Whole tables, published and loaded from nothing.</summary>
    /// <param name="done">Told after each repetition.</param>
    public RefreshRow Base(int repetitions, Action done) => Repeat(null, repetitions, done, () =>
    {
        // A new writer begins with a base.
        writer = new(repository, RefreshModel.Name, new() { BaseEvery = int.MaxValue, KeepBases = 2 });
        held?.Dispose();
        held = null;
    });

    /// <summary>A share of the rows, published as a delta and loaded over the version before.</summary>
    /// <inheritdoc cref="Base"/>
    public RefreshRow Delta(double share, int repetitions, Action done) => Repeat(share, repetitions, done, () => model.Learn(share));

    public void Dispose()
    {
        slot.Swap(null);
        held?.Dispose();
        model.Dispose();
        pool.Dispose();
        runtime.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    private RefreshRow Repeat(double? share, int repetitions, Action done, Action prepare)
    {
        var samples = new List<RefreshRow>();
        for (var i = 0; i < repetitions; i++)
        {
            prepare();
            samples.Add(Once(share));
            done();
        }
        return samples[0] with
        {
            DraftMs = Median.Of(samples.Select(s => s.DraftMs)),
            WriteMs = Median.Of(samples.Select(s => s.WriteMs)),
            LoadMs = Median.Of(samples.Select(s => s.LoadMs)),
            SwapUs = Median.Of(samples.Select(s => s.SwapUs)),
            AddedMb = Median.Of(samples.Select(s => s.AddedMb)),
        };
    }

    private RefreshRow Once(double? share)
    {
        var golden = model.Golden();
        var started = Stopwatch.GetTimestamp();
        var draft = model.Draft(golden);
        var draftMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;

        started = Stopwatch.GetTimestamp();
        var manifest = writer.Publish(draft);
        var writeMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        draft.Dispose();

        var before = ResidentMb();
        started = Stopwatch.GetTimestamp();
        var next = loader.Load(RefreshModel.Name, manifest.Version, held);
        var loadMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        var added = ResidentMb() - before;

        started = Stopwatch.GetTimestamp();
        slot.Swap(next);
        var swapUs = Stopwatch.GetElapsedTime(started).TotalMicroseconds;
        held?.Dispose();
        held = next;
        return new()
        {
            Rows = rows,
            Share = share,
            DraftMs = draftMs,
            WriteMs = writeMs,
            RowBytes = manifest.Files[StudentSignature.RowsFile].Bytes,
            VersionBytes = manifest.Files.Values.Sum(f => f.Bytes),
            LoadMs = loadMs,
            SwapUs = swapUs,
            AddedMb = added,
        };
    }

    // What was freed but not given back to the system would otherwise be found again by the next version, and count for nothing.
    private static double ResidentMb()
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        _ = TrimMalloc(0);
        return Environment.WorkingSet / MB;
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int TrimMalloc(nuint kept);
}
