using System.Diagnostics;
using KdServing.Serving.Models;

namespace KdServing.Benchmarks.Devices;

/// <summary>One way to score the reference student, with the version loaded for it.</summary>
internal sealed class DeviceWay : IDisposable
{
    private readonly InferenceRuntime runtime;
    private readonly ScoringBufferPool pool = new();

    public DeviceWay(string name, ReferenceStudent student, InferenceRuntime runtime)
    {
        Name = name;
        this.runtime = runtime;
        Loader = new(new(student.Folder), runtime, pool, new(), TimeSpan.FromSeconds(1));
        var started = Stopwatch.GetTimestamp();
        Servable = Loader.Load(ReferenceStudent.Model, 1, held: null);
        FirstLoadMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        if (runtime.Devices is not null && Servable.Engine != ScoringEngine.Device)
            throw new InvalidOperationException($"the version is not on the device: {Servable.EngineRefusal}");
    }

    public string Name { get; }

    public ServableLoader Loader { get; }

    public Servable Servable { get; set; }

    public double FirstLoadMs { get; }

    /// <summary>Memory of versions' tables and weights on a device.</summary>
    public long DeviceBytes => runtime.Devices?.Bytes ?? 0;

    public void Dispose()
    {
        Servable.Dispose();
        pool.Dispose();
        runtime.Dispose();
    }
}
