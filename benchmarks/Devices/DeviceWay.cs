using System.Diagnostics;
using System.Runtime.InteropServices;
using Google.Protobuf;
using KdServing.Benchmarks.Catalog;
using KdServing.Contracts;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Catalog;
using KdServing.Serving.Models;
using KdServing.Serving.Wire;

namespace KdServing.Benchmarks.Devices;

/// <summary>One way to score the reference student, with the version loaded for it and a catalog of items.</summary>
internal sealed class DeviceWay : IDisposable
{
    private const int BatchItems = 10_000;

    private readonly InferenceRuntime runtime;
    private readonly ScoringBufferPool pool = new();
    private readonly NicedThread thread = new("bench-catalog", 0);
    private readonly string folder = Directory.CreateTempSubdirectory("kd-bench-").FullName;
    private readonly ItemCatalog catalog;

    private DeviceWay(string name, ReferenceStudent student, InferenceRuntime runtime)
    {
        Name = name;
        this.runtime = runtime;
        Loader = new(new(student.Folder), runtime, pool, new(), TimeSpan.FromSeconds(1));
        var started = Stopwatch.GetTimestamp();
        Servable = Loader.Load(ReferenceStudent.Model, 1, held: null);
        FirstLoadMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        if (runtime.Devices is not null && Servable.Engine != ScoringEngine.Device)
            throw new InvalidOperationException($"the version is not on the device: {Servable.EngineRefusal}");
        catalog = new(new() { Folder = folder, WaitLimit = TimeSpan.FromMinutes(1) }, thread, runtime.Devices?.Accelerator);
    }

    public string Name { get; }

    public ServableLoader Loader { get; }

    public Servable Servable { get; set; }

    public double FirstLoadMs { get; }

    /// <summary>Time from an empty store of vectors to one that has all of them.</summary>
    public double FillMs { get; private set; }

    /// <summary>Memory of versions' tables and weights on a device.</summary>
    public long DeviceBytes => runtime.Devices?.Bytes ?? 0;

    /// <param name="device">Null: the processor.</param>
    public static async Task<DeviceWay> OpenAsync(string name, ReferenceStudent student, DeviceOptions? device, int items)
    {
        var runtime = device is null ? InferenceRuntime.Open(InferenceDevice.Cpu) : InferenceRuntime.Open(InferenceDevice.Cuda, device with { HasCatalog = true });
        var way = new DeviceWay(name, student, runtime);
        await way.catalog.OpenAsync(student.Schema);
        for (var first = 0; first < items; first += BatchItems)
            await way.catalog.ApplyAsync(CatalogModel.Items(student.Schema, first, Math.Min(BatchItems, items - first)));
        var started = Stopwatch.GetTimestamp();
        await way.catalog.PrepareAsync(way.Servable, CancellationToken.None);
        await way.catalog.FilledAsync();
        way.FillMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        return way;
    }

    /// <summary>Wire form of a request whose candidates are ids of the catalog, anywhere in it.</summary>
    public byte[] ById(RankRequest request, int seed)
    {
        var random = new Random(seed);
        request.Item.Clear();
        request.Catalog = new() { RawInt64 = ByteString.CopyFrom(MemoryMarshal.AsBytes<long>(Enumerable.Range(0, request.CandidateCount).Select(_ => random.NextInt64(catalog.Count)).ToArray())) };
        return request.ToByteArray();
    }

    /// <summary>Scores a request as the server does, by features or by ids.</summary>
    public void Score(RankCall call, ScoringRun run)
    {
        if (call.Header.Catalog is null)
        {
            Servable.Score(call, run, CallBudget.Unlimited);
            return;
        }
        var lookup = catalog.Rent();
        lookup.Resolve(Servable.Items!, call, CallBudget.Unlimited);
        if (!lookup.IsOnDevice)
            Servable.Score(call, lookup.Vectors, lookup.Format, run, CallBudget.Unlimited);
        else if (!Servable.TryScoreOnDevice(call, lookup.Vectors, lookup.Format, run, CallBudget.Unlimited))
            throw new InvalidOperationException($"the device failed: {Servable.EngineRefusal}");
        catalog.Return(lookup);
    }

    public void Dispose()
    {
        Servable.Dispose();
        thread.Dispose();
        catalog.Dispose();
        pool.Dispose();
        runtime.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
