using System.Diagnostics.Metrics;
using KdServing.Serving.Catalog;
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
    private readonly Rollout rollout;
    private readonly ShadowScoring shadow;
    private readonly InferenceRuntime runtime;
    private readonly CatalogFeed? catalog;
    private readonly RequestBatcher? batcher;
    private readonly IHostApplicationLifetime lifetime;
    private readonly long startedMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    public ServingStatus(RankingModel model, ServableSlot slot, SwapLedger ledger, RankingMetrics metrics, LatencySeries series,
        AdmissionGate gate, ModelSource source, Rollout rollout, ShadowScoring shadow, InferenceRuntime runtime, IHostApplicationLifetime lifetime,
        CatalogFeed? catalog = null, RequestBatcher? batcher = null)
    {
        this.model = model;
        this.slot = slot;
        this.ledger = ledger;
        this.metrics = metrics;
        this.series = series;
        this.gate = gate;
        this.source = source;
        this.rollout = rollout;
        this.shadow = shadow;
        this.runtime = runtime;
        this.lifetime = lifetime;
        this.catalog = catalog;
        this.batcher = batcher;
        AddGauges();
        if (batcher is not null)
            metrics.Meter.CreateObservableGauge("kd_batching_on", () => batcher.IsOn ? 1L : 0L, description: "0 while batching is not used because it does not help.");
        if (catalog is not null)
            AddCatalogGauges(catalog);
    }

    /// <summary>Ports the server listens on; known once it does.</summary>
    public (int Grpc, int? Http, int? Control) Ports { get; set; }

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
            ControlPort = Ports.Control,
            Model = model.Name,
            Version = manifest?.Version,
            Lineup = Standing(),
            WatermarkMs = manifest?.WatermarkMs,
            ModelAgeSeconds = slot.Current?.Health.AgeSeconds,
            LearnedUntilMs = slot.Current?.Health.LearnedUntilMs,
            LogitToServedMs = slot.Current?.Health.LogitToServedMs,
            Fidelity = slot.Current?.Health.Fidelity,
            Position = manifest?.Position,
            VersionCreatedMs = manifest?.CreatedAtMs,
            RecordsLearned = manifest?.RecordsLearned,
            TeacherVersions = manifest?.TeacherVersions,
            Metrics = manifest?.Metrics,
            Device = runtime.Device,
            DeviceReason = runtime.Reason,
            Engine = slot.Current?.Engine.ToString(),
            DeviceBytes = runtime.Devices?.Bytes,
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
            Catalog = catalog?.Report(),
            Batching = batcher?.Report(),
        };
    }

    private LineupReport Standing()
    {
        var (now, state, report) = (slot.Lineup, rollout.State, shadow.Report);
        return new(now.Previous?.Version, now.Candidate?.Version, now.CandidateShare, now.ShadowShare, report.Requests, Math.Round(report.MeanChurn, 4),
            state.Pinned == 0 ? null : state.Pinned, state.Held, state.HeldReason, state.Rejected, now.Current?.Health.Answered ?? 0, now.Current?.Health.Failed ?? 0);
    }

    private void AddGauges()
    {
        var meter = metrics.Meter;
        meter.CreateObservableGauge("kd_model_version", () => slot.Current?.Version ?? 0, description: "Version in service; 0 before the first.");
        meter.CreateObservableGauge("kd_model_watermark_ms", () => slot.Current?.Manifest.WatermarkMs ?? 0,
            description: "Event time the version in service has learned up to, milliseconds since the Unix epoch.");
        meter.CreateObservableGauge("kd_model_age_seconds", () => slot.Current?.Health.AgeSeconds ?? 0,
            description: "Event time of the newest teacher record minus the watermark of the version in service; 0: not known.");
        meter.CreateObservableGauge("kd_logit_to_served_milliseconds", () => slot.Current?.Health.LogitToServedMs ?? 0,
            description: "From the write of the newest record the version in service has learned from until its first reply.");
        meter.CreateObservableGauge("kd_model_fidelity", () => slot.Current?.Health.Fidelity ?? 0,
            description: "Overlap@10 of the version in service with the teacher, as the Distiller finds it; 0: not known.");
        meter.CreateObservableGauge("kd_model_created_ms", () => slot.Current?.Manifest.CreatedAtMs ?? 0,
            description: "When the version in service was published, milliseconds since the Unix epoch.");
        meter.CreateObservableGauge("kd_teacher_version",
            () => (slot.Current?.Manifest.TeacherVersions ?? new Dictionary<string, long>()).Select(t => new Measurement<long>(t.Value, new KeyValuePair<string, object?>("teacher", t.Key))),
            description: "Newest version of each teacher that the version in service has learned from.");
        meter.CreateObservableCounter("kd_swaps", () => ledger.Served, description: "Versions put into service.");
        meter.CreateObservableGauge("kd_versions_refused", () => (long)source.Refused.Count, description: "Versions present that are refused.");
        meter.CreateObservableGauge("kd_versions_rolled_back", () => (long)rollout.State.Rejected.Count, description: "Versions that were rolled back.");
        meter.CreateObservableGauge("kd_model_pinned", () => rollout.State.Pinned, description: "Version that is pinned; 0 for none.");
        meter.CreateObservableGauge("kd_model_held", () => rollout.State.Held ? 1L : 0L, description: "1 while no version is taken by itself.");
        meter.CreateObservableGauge("kd_requests_in_flight", () => (long)gate.Running, description: "Requests, or batches of them, being scored.");
        meter.CreateObservableGauge("kd_requests_queued", () => (long)gate.Waiting, description: "Requests, or batches of them, waiting for a core.");
        meter.CreateObservableGauge("kd_resident_bytes", () => Environment.WorkingSet, description: "Resident memory of the process.");
        meter.CreateObservableCounter("kd_gc_allocated_bytes", () => GC.GetTotalAllocatedBytes(), description: "Managed bytes allocated.");
        meter.CreateObservableCounter("kd_gc_gen2_collections", () => (long)GC.CollectionCount(2), description: "Full collections.");
        meter.CreateObservableCounter("kd_gc_pause_microseconds", () => (long)GC.GetTotalPauseDuration().TotalMicroseconds,
            description: "Time all threads stood still for the garbage collector.");
    }

    private void AddCatalogGauges(CatalogFeed feed)
    {
        var meter = metrics.Meter;
        meter.CreateObservableGauge("kd_catalog_items", () => (long)feed.Report().Figures.Items, description: "Items in the catalog.");
        meter.CreateObservableGauge("kd_catalog_items_to_encode", () => (long)feed.Report().Figures.Left, description: "Items the newest version has no vector of yet.");
        meter.CreateObservableGauge("kd_catalog_covered_share", () => feed.Report().Figures.CoveredShare,
            description: "Share of the last minute's requested items whose vector the newest version has.");
        meter.CreateObservableGauge("kd_catalog_refresh_core_seconds", () => feed.Report().Figures.CoreSeconds,
            description: "Core time spent on the newest version's vectors.");
        meter.CreateObservableGauge("kd_catalog_vector_bytes", () => feed.Report().Figures.VectorBytes, description: "Native memory of item vectors, all versions.");
        meter.CreateObservableCounter("kd_catalog_unknown_candidates", () => feed.Report().Figures.UnknownCandidates,
            description: "Candidates whose item the catalog did not hold.");
        meter.CreateObservableCounter("kd_catalog_encoded_by_requests", () => feed.Report().Figures.EncodedByRequests,
            description: "Candidates whose vector was not there yet and was made inside the request.");
        meter.CreateObservableCounter("kd_catalog_entries", () => feed.Report().Entries, description: "Entries of the item stream applied.");
        meter.CreateObservableCounter("kd_catalog_dead_lettered", () => feed.Report().DeadLettered, description: "Entries of the item stream that were not valid.");
    }
}
