using KdServing.Serving.Models;
using KdServing.Serving.Ranking;

namespace KdServing.Serving.Status;

/// <summary>Gathers what the server knows of itself: the status page, <c>/status.json</c> and the gauges.</summary>
public sealed class ServingStatus
{
    private readonly RankingModel model;
    private readonly ServableSlot slot;
    private readonly SwapLedger ledger;
    private readonly RankingMetrics metrics;
    private readonly LatencySeries series;
    private readonly AdmissionGate gate;
    private readonly ModelSource source;
    private readonly InferenceRuntime runtime;
    private readonly IHostApplicationLifetime lifetime;
    private readonly long startedMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    public ServingStatus(RankingModel model, ServableSlot slot, SwapLedger ledger, RankingMetrics metrics, LatencySeries series,
        AdmissionGate gate, ModelSource source, InferenceRuntime runtime, IHostApplicationLifetime lifetime)
    {
        this.model = model;
        this.slot = slot;
        this.ledger = ledger;
        this.metrics = metrics;
        this.series = series;
        this.gate = gate;
        this.source = source;
        this.runtime = runtime;
        this.lifetime = lifetime;
        AddGauges();
    }

    /// <summary>Ports the server listens on; known once it does.</summary>
    public (int Grpc, int? Http) Ports { get; set; }

    /// <summary><c>starting</c> (no version yet), <c>serving</c> or <c>stopping</c>.</summary>
    public string State => lifetime.ApplicationStopping.IsCancellationRequested ? "stopping"
        : slot.Current is null ? "starting" : "serving";

    public StatusReport Report()
    {
        var counts = metrics.Latency.Snapshot();
        var manifest = slot.Current?.Manifest;
        return new()
        {
            Pid = Environment.ProcessId,
            State = State,
            StartedMs = startedMs,
            UpdatedAtMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
            Port = Ports.Grpc,
            HttpPort = Ports.Http,
            Model = model.Name,
            Version = manifest?.Version,
            WatermarkMs = manifest?.WatermarkMs,
            VersionCreatedMs = manifest?.CreatedAtMs,
            RecordsLearned = manifest?.RecordsLearned,
            TeacherVersions = manifest?.TeacherVersions,
            Metrics = manifest?.Metrics,
            Device = runtime.Device,
            DeviceReason = runtime.Reason,
            RedisConnected = source.RedisConnected,
            VersionsServed = ledger.Served,
            VersionsRefused = source.Refused.ToDictionary(),
            Requests = metrics.Requests,
            Errors = metrics.Errors,
            Codes = metrics.ByCode(),
            InFlight = gate.Running,
            Queued = gate.Waiting,
            RssMb = Math.Round(Environment.WorkingSet / 1048576.0, 1),
            LatencyMs = new(LatencyHistogram.QuantileMs(counts, 0.5), LatencyHistogram.QuantileMs(counts, 0.99),
                LatencyHistogram.QuantileMs(counts, 0.999), metrics.Latency.MaxMs),
            LatencySeries = series.Points(),
            Swaps = ledger.Entries(),
        };
    }

    private void AddGauges()
    {
        var meter = metrics.Meter;
        meter.CreateObservableGauge("kd_model_version", () => slot.Current?.Version ?? 0, description: "Version in service; 0 before the first.");
        meter.CreateObservableGauge("kd_model_watermark_ms", () => slot.Current?.Manifest.WatermarkMs ?? 0,
            description: "Event time the version in service has learned up to, milliseconds since the Unix epoch.");
        meter.CreateObservableGauge("kd_model_created_ms", () => slot.Current?.Manifest.CreatedAtMs ?? 0,
            description: "When the version in service was published, milliseconds since the Unix epoch.");
        meter.CreateObservableCounter("kd_swaps", () => ledger.Served, description: "Versions put into service.");
        meter.CreateObservableGauge("kd_versions_refused", () => (long)source.Refused.Count, description: "Versions present that are refused.");
        meter.CreateObservableGauge("kd_requests_in_flight", () => (long)gate.Running, description: "Requests being scored.");
        meter.CreateObservableGauge("kd_requests_queued", () => (long)gate.Waiting, description: "Requests waiting for a core.");
        meter.CreateObservableGauge("kd_resident_bytes", () => Environment.WorkingSet, description: "Resident memory of the process.");
        meter.CreateObservableCounter("kd_gc_allocated_bytes", () => GC.GetTotalAllocatedBytes(), description: "Managed bytes allocated.");
        meter.CreateObservableCounter("kd_gc_gen2_collections", () => (long)GC.CollectionCount(2), description: "Full collections.");
        meter.CreateObservableCounter("kd_gc_pause_microseconds", () => (long)GC.GetTotalPauseDuration().TotalMicroseconds,
            description: "Time all threads stood still for the garbage collector.");
    }
}
