using System.Numerics;
using KdServing.Contracts;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Models;

/// <summary>One version, loaded: its schema, embedding rows and dense graphs. Immutable; any number of threads score with it.</summary>
/// <remarks>Made by <see cref="ServableLoader"/>, owned by who swapped it in, alive as long as somebody holds a lease.</remarks>
public sealed class Servable : IDisposable
{
    private static readonly RunOptions RunOptions = new();

    private readonly ServableGraphs graphs;
    private readonly IReadOnlyList<EmbeddingTable> tables;
    private readonly FeatureAssembler assembler;
    private readonly FeatureGroup[] userGroups;
    private readonly FeatureGroup[] itemGroups;
    private readonly int userColumns;
    private readonly int itemColumns;
    private readonly ScoringBufferPool pool;
    private readonly Stack<ScoringRun> idle = [];
    private readonly Lock gate = new();
    private int disposed;

    internal Servable(VersionManifest manifest, FeatureSchema schema, IReadOnlyList<EmbeddingTable> tables, ServableGraphs graphs,
        IReadOnlyList<RankRequest> goldenRequests, ScoringBufferPool pool)
    {
        Manifest = manifest;
        GoldenRequests = goldenRequests;
        Schema = schema;
        this.tables = tables;
        this.graphs = graphs;
        this.pool = pool;
        assembler = new(schema, tables);
        userGroups = [schema.User];
        itemGroups = [schema.Item, schema.Live];
        userColumns = schema.User.Features.Count;
        itemColumns = schema.Item.Features.Count + schema.Live.Features.Count;
    }

    public VersionManifest Manifest { get; }

    public FeatureSchema Schema { get; }

    public long Version => Manifest.Version;

    public LeaseCount Leases { get; } = new();

    /// <summary>The trainer's sample requests: always of this version's schema, so good to warm it up with.</summary>
    internal IReadOnlyList<RankRequest> GoldenRequests { get; }

    /// <summary>The rows, for the next version to fork.</summary>
    internal IReadOnlyList<EmbeddingTable> Tables => tables;

    /// <summary>A run to score in; give it back with <see cref="Return"/>.</summary>
    public ScoringRun Rent()
    {
        lock (gate)
        {
            if (idle.TryPop(out var run))
                return run;
        }
        return new(graphs, Manifest.Signature, pool.Rent());
    }

    public void Return(ScoringRun run)
    {
        lock (gate)
            idle.Push(run);
    }

    /// <summary>Scores every candidate; <see cref="ScoringRun.Logits"/> and <see cref="ScoringRun.Scores"/> hold the result.</summary>
    /// <param name="request">Its <see cref="RankRequest.CandidateCount"/> is within the server's limits.</param>
    /// <exception cref="ContractException">A column is missing, unknown, or of another type or length; a value is not finite.</exception>
    /// <exception cref="NonFiniteScoreException">The version computed NaN or infinity.</exception>
    /// <exception cref="TimeoutException">The deadline passed between two steps.</exception>
    /// <exception cref="OperationCanceledException">The caller went away.</exception>
    public void Score(RankRequest request, ScoringRun run, in CallBudget budget)
    {
        run.Resize(request.CandidateCount, Math.Max(userColumns, itemColumns));
        var found = run.Buffers.Found.AsSpan();
        try
        {
            ColumnReader.Match(request.User, "user", 1, userGroups, found[..userColumns]);
            assembler.AssembleUser(found[..userColumns], run.User);
            ColumnReader.Match(request.Item, "item", request.CandidateCount, itemGroups, found[..itemColumns]);
            assembler.AssembleItems(found[..itemColumns], request.CandidateCount, run.Item, run.Live);
        }
        finally
        {
            // Idle buffers must not keep a request alive.
            found.Clear();
        }
        budget.ThrowIfSpent();
        graphs.UserEncoder.RunWithBinding(RunOptions, run.UserEncoder);
        graphs.ItemEncoder.RunWithBinding(RunOptions, run.ItemEncoder);
        budget.ThrowIfSpent();
        graphs.Head.RunWithBinding(RunOptions, run.Head);
        if (!AllFinite(run.Logits) || !AllFinite(run.Scores))
            throw new NonFiniteScoreException(Version);
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
        while (idle.TryPop(out var run))
        {
            run.Dispose();
            pool.Return(run.Buffers);
        }
        graphs.Dispose();
        foreach (var table in tables)
            table.Dispose();
    }

    // x·0 is 0 for every finite x and NaN otherwise: one multiply-add a value, no branch.
    private static bool AllFinite(ReadOnlySpan<float> values)
    {
        var sum = Vector<float>.Zero;
        var i = 0;
        for (; i <= values.Length - Vector<float>.Count; i += Vector<float>.Count)
            sum += new Vector<float>(values[i..]) * Vector<float>.Zero;
        var rest = Vector.Sum(sum);
        for (; i < values.Length; i++)
            rest += values[i] * 0f;
        return rest == 0f;
    }
}

/// <summary>A version computed NaN or infinity for a valid request.</summary>
public sealed class NonFiniteScoreException(long version) : Exception($"version {version} computed a score that is not finite");
