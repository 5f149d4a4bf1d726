using KdServing.Contracts;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Catalog;
using KdServing.Serving.Kernels;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Models;

/// <summary>One version, loaded: its schema, embedding rows and dense graphs. Immutable; any number of threads score with it.</summary>
/// <remarks>Made by <see cref="ServableLoader"/>, owned by who swapped it in, alive as long as somebody holds a lease.</remarks>
public sealed partial class Servable : IDisposable
{
    private readonly IReadOnlyList<EmbeddingTable> tables;
    private readonly int userColumns;
    private readonly RowScoring rowScoring;
    private readonly RankCallDecoder callDecoder;
    private readonly RankRequestDecoder requestDecoder;
    private readonly ScoringRuns runs;
    private readonly StudentKernel? kernel;
    private ServableGraphs graphs;
    private ScoringEngine onProcessor;
    private int disposed;

    internal Servable(VersionManifest manifest, FeatureSchema schema, IReadOnlyList<EmbeddingTable> tables, ServableGraphs graphs,
        IReadOnlyList<RankRequest> goldenRequests, ScoringBufferPool pool)
    {
        Manifest = manifest;
        Health = new(manifest);
        GoldenRequests = goldenRequests;
        Schema = schema;
        this.tables = tables;
        this.graphs = graphs;
        runs = new(pool, buffers => new(this.graphs, manifest.Signature, new CandidateColumns(schema, tables, buffers.Columns), buffers));
        kernel = StudentKernel.Make(graphs.Weights, manifest.Signature);
        Engine = kernel is null ? ScoringEngine.OnnxRuntime : ScoringEngines.FastestKernel;
        rowScoring = new(schema, tables);
        callDecoder = new(schema, tables);
        requestDecoder = new(schema, tables);
        userColumns = schema.User.Features.Count;
    }

    public VersionManifest Manifest { get; }

    public FeatureSchema Schema { get; }

    public long Version => Manifest.Version;

    public LeaseCount Leases { get; } = new();

    /// <summary>What scores. Changed only before the version serves, while it is compared with the trainer and ONNX Runtime, and when a device fails.</summary>
    internal ScoringEngine Engine
    {
        get => scoresOnDevice ? ScoringEngine.Device : onProcessor;
        set
        {
            scoresOnDevice = value == ScoringEngine.Device;
            if (scoresOnDevice)
                return;
            onProcessor = value;
            kernel?.Products = value.Products();
        }
    }

    /// <summary>Why a faster way of scoring than <see cref="Engine"/> is not used; null when there is none, or it was not refused.</summary>
    internal string? EngineRefusal { get; set; }

    // What a device does not do (item vectors), and what it has failed to do.
    private StudentKernel? Kernel => onProcessor == ScoringEngine.OnnxRuntime ? null : kernel;

    /// <summary>How this version does.</summary>
    public VersionHealth Health { get; }

    /// <summary>The trainer's sample requests: always of this version's schema, so good to warm it up with.</summary>
    internal IReadOnlyList<RankRequest> GoldenRequests { get; }

    /// <summary>The version whose rows this one's build on; null when it read whole tables.</summary>
    internal VersionManifest? RowsFrom { get; init; }

    /// <summary>Its item vectors, when the server has a catalog; set before it serves.</summary>
    internal VersionItems? Items { get; set; }

    /// <summary>The rows, for the next version to fork.</summary>
    internal IReadOnlyList<EmbeddingTable> Tables => tables;

    /// <summary>ONNX Runtime's sessions are not its own: good to check a kernel by.</summary>
    internal bool SharesSessions => graphs.AreShared;

    /// <summary>Takes other sessions of the same graphs, before the version serves; no run is out.</summary>
    internal void Reopen(ServableGraphs other)
    {
        runs.Clear();
        graphs.Dispose();
        graphs = other;
    }

    /// <summary>A run to score in; give it back with <see cref="Return"/>.</summary>
    public ScoringRun Rent() => runs.Rent();

    public void Return(ScoringRun run) => runs.Return(run);

    /// <summary>Scores every candidate; <see cref="ScoringRun.Logits"/> and <see cref="ScoringRun.Scores"/> hold the result.</summary>
    /// <param name="request">Its <see cref="RankRequest.CandidateCount"/> is within the server's limits.</param>
    /// <exception cref="ContractException">A column is missing, unknown, or of another type or length; a value is not finite.</exception>
    /// <exception cref="NonFiniteScoreException">The version computed NaN or infinity.</exception>
    /// <exception cref="TimeoutException">The deadline passed between two steps.</exception>
    /// <exception cref="OperationCanceledException">The caller went away.</exception>
    public void Score(RankRequest request, ScoringRun run, in CallBudget budget)
    {
        requestDecoder.Read(request, run, hasVectors: false);
        Score(run, budget);
    }

    /// <summary>The same for a request as it came off the wire; its header has been checked.</summary>
    /// <inheritdoc cref="Score(RankRequest, ScoringRun, in CallBudget)"/>
    public void Score(RankCall call, ScoringRun run, in CallBudget budget)
    {
        Decode(call, run);
        Score(run, budget);
    }

    /// <summary>Reads a request's columns into a run, to be scored with <see cref="Score(ScoringRun, in CallBudget)"/> or <see cref="ScoreTogether"/>.</summary>
    /// <exception cref="ContractException">A column is missing, unknown, or of another type or length; a value is not finite.</exception>
    public void Decode(RankCall call, ScoringRun run)
    {
        run.Resize(call.Header.CandidateCount, userColumns);
        if (!callDecoder.TryReadUser(call, run.User) || !callDecoder.TryReadItems(call, run.Candidates, hasVectors: false, run.Columns))
            requestDecoder.Read(call.ToMessage(), run, hasVectors: false);
    }

    /// <summary>Scores what is decoded in a run.</summary>
    /// <inheritdoc cref="Score(RankRequest, ScoringRun, in CallBudget)"/>
    public void Score(ScoringRun run, in CallBudget budget)
    {
        budget.ThrowIfSpent();
        ScoreWithEngine(run, budget);
        RequireFinite(run);
    }

    /// <summary>Scores what is decoded in a run that waited for others in vain; whether its results are numbers is for its owner to see.</summary>
    internal void ScoreAlone(ScoringRun run) => ScoreWithEngine(run, CallBudget.Unlimited);

    /// <summary>Scores what is decoded in several runs of this version with one call of each graph: on its device, or else by ONNX Runtime.</summary>
    /// <remarks>Whether a run's results are numbers is for its owner to see: one request's overflow is not the others'.</remarks>
    /// <exception cref="Microsoft.ML.OnnxRuntime.OnnxRuntimeException">ONNX Runtime failed; no run has results.</exception>
    public void ScoreTogether(ReadOnlySpan<ScoringRun> runs)
    {
        if (Engine == ScoringEngine.Device)
        {
            try
            {
                Device!.Score(runs);
                return;
            }
            catch (AcceleratorException e)
            {
                DeviceFailed(e);
            }
        }
        var shared = Rent();
        try
        {
            shared.ScoreTogether(runs);
        }
        finally
        {
            Return(shared);
        }
    }

    /// <summary>The same for a request as it came off the wire, with item vectors that are known.</summary>
    /// <inheritdoc cref="Score(RankRequest, ReadOnlySpan{nint}, ItemVectorFormat, ScoringRun, in CallBudget)"/>
    public void Score(RankCall call, ReadOnlySpan<nint> vectors, ItemVectorFormat format, ScoringRun run, in CallBudget budget)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(vectors.Length, call.Header.CandidateCount, nameof(vectors));
        run.Resize(vectors.Length, userColumns);
        if (!callDecoder.TryReadUser(call, run.User) || !callDecoder.TryReadItems(call, run.Candidates, hasVectors: true, run.Columns))
        {
            Score(call.ToMessage(), vectors, format, run, budget);
            return;
        }
        budget.ThrowIfSpent();
        run.Score(Kernel, vectors, format, budget);
        RequireFinite(run);
    }

    /// <summary>Scores candidates whose item vectors are known; user, live and cross features are read from the request.</summary>
    /// <param name="vectors">
    /// Address of each candidate's item vector, <see cref="StudentSignature.ItemVectorWidth"/> floats in <paramref name="format"/>, of
    /// this version, valid until the call returns. 64-byte alignment is faster.
    /// </param>
    /// <inheritdoc cref="Score(RankRequest, ScoringRun, in CallBudget)"/>
    public void Score(RankRequest request, ReadOnlySpan<nint> vectors, ItemVectorFormat format, ScoringRun run, in CallBudget budget)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(vectors.Length, request.CandidateCount, nameof(vectors));
        requestDecoder.Read(request, run, hasVectors: true);
        budget.ThrowIfSpent();
        run.Score(Kernel, vectors, format, budget);
        RequireFinite(run);
    }

    /// <summary>Scores candidates given as table rows, for callers that have hashed already. Only for schemas of nothing but single ids.</summary>
    /// <param name="userRows">[user features].</param>
    /// <param name="itemRows">Row-major [candidates, item features].</param>
    /// <exception cref="ContractException">A row is outside its table, or the schema has other features.</exception>
    /// <inheritdoc cref="Score(RankRequest, ScoringRun, in CallBudget)"/>
    public unsafe void ScoreRows(ReadOnlySpan<int> userRows, ReadOnlySpan<int> itemRows, ScoringRun run, in CallBudget budget)
    {
        var candidates = rowScoring.Require(userRows, itemRows);
        run.Resize(candidates, 0);
        rowScoring.AssembleUser(userRows, run.User);
        fixed (int* rows = itemRows)
        {
            run.Columns.Borrow(rows);
            ScoreWithEngine(run, budget);
        }
        RequireFinite(run);
    }

    /// <summary>Item vectors of this version. Any thread.</summary>
    /// <param name="items">[rows, <see cref="StudentSignature.ItemWidth"/>] assembled static item features.</param>
    /// <param name="vectors">[rows, <see cref="StudentSignature.ItemVectorWidth"/>], written.</param>
    public void EncodeItems(ReadOnlySpan<float> items, int rows, Span<float> vectors)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(items.Length, rows * Manifest.Signature.ItemWidth, nameof(items));
        ArgumentOutOfRangeException.ThrowIfNotEqual(vectors.Length, rows * Manifest.Signature.ItemVectorWidth, nameof(vectors));
        var run = Rent();
        try
        {
            run.Encode(Kernel, items, rows, vectors);
        }
        finally
        {
            Return(run);
        }
    }

    /// <summary>Lets go of the owner's share.</summary>
    /// <returns>Completes when the last lease is back; then <see cref="Dispose"/> may be called.</returns>
    public Task RetireAsync()
    {
        Leases.ReleaseOwner();
        return Leases.Drained;
    }

    /// <summary>Frees sessions and rows. Only when no lease is out.</summary>
    /// <exception cref="InvalidOperationException">A lease is out: freeing now would pull memory from under a request.</exception>
    public void Dispose()
    {
        Leases.ReleaseOwner();
        if (!Leases.Drained.IsCompleted)
            throw new InvalidOperationException($"version {Version} is disposed while {Leases.Leases} leases are out");
        if (Interlocked.Exchange(ref disposed, 1) != 0)
            return;
        runs.Clear();
        Items?.Dispose();
        Device?.Dispose();
        graphs.Dispose();
        kernel?.Dispose();
        foreach (var table in tables)
            table.Dispose();
    }

    private void RequireFinite(ScoringRun run)
    {
        if (!run.IsFinite)
            throw new NonFiniteScoreException(Version);
    }
}

/// <summary>A version computed NaN or infinity for a valid request.</summary>
public sealed class NonFiniteScoreException(long version) : Exception($"version {version} computed a score that is not finite");
