using KdServing.Contracts;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;

namespace KdServing.Serving.Accelerators;

/// <summary>A version on a device: scores what is decoded in runs. Any number of threads.</summary>
internal sealed class DeviceVersion : IDisposable
{
    private readonly int[] firstRows;
    private readonly Action<string> failed;
    private readonly Action close;
    private int hasFailed;

    /// <param name="tables">In the order of <see cref="FeatureSchema.Tables"/>; its rows are in the slot.</param>
    /// <param name="failed">Is told why the device does not score it any more.</param>
    /// <param name="close">Lets go of the model.</param>
    public DeviceVersion(DeviceModel model, DeviceSlot slot, FeatureSchema schema, IReadOnlyList<TableArena> arenas, IReadOnlyList<EmbeddingTable> tables,
        Action<string> failed, Action close)
    {
        Model = model;
        Slot = slot;
        Tables = tables;
        this.failed = failed;
        this.close = close;
        firstRows = [.. schema.Item.Features.Concat(schema.Live.Features).Select(f => f.Kind is FeatureKind.Hash or FeatureKind.Vocabulary
            ? arenas.First(a => a.FirstRows.ContainsKey(f.Table)).FirstRows[f.Table] : 0)];
    }

    public DeviceModel Model { get; }

    public DeviceSlot Slot { get; }

    public IReadOnlyList<EmbeddingTable> Tables { get; }

    /// <summary>Scores the candidates of one run.</summary>
    /// <exception cref="AcceleratorException">The device does not work.</exception>
    public void Score(ScoringRun run, in CallBudget budget) => Score(run, vectors: [], default, budget);

    /// <summary>Scores candidates of one run whose item vectors are known.</summary>
    /// <param name="vectors">Addresses on the device, or in its page-locked memory; none: they are made of the run's columns.</param>
    /// <inheritdoc cref="Score(ScoringRun, in CallBudget)"/>
    public void Score(ScoringRun run, ReadOnlySpan<nint> vectors, ItemVectorFormat format, in CallBudget budget)
    {
        for (var first = 0; first < run.Candidates; first += Model.MaxCandidates)
        {
            budget.ThrowIfSpent();
            var count = Math.Min(Model.MaxCandidates, run.Candidates - first);
            var staging = Model.Rent(count, withVectors: !vectors.IsEmpty);
            try
            {
                staging.AddUser(0, run.User);
                staging.AddCandidates(run.Columns, firstRows, user: 0, first, count, to: 0);
                staging.Pad(count);
                if (!vectors.IsEmpty)
                    staging.AddVectors(vectors.Slice(first, count), format);
                Model.Run(staging, Slot);
                run.Take(staging, from: 0, first, count);
            }
            finally
            {
                Model.Return(staging);
            }
        }
    }

    /// <summary>Scores what is decoded in several runs, as many at a time as a run of the device has room for.</summary>
    /// <inheritdoc cref="Score(ScoringRun, in CallBudget)"/>
    public void Score(ReadOnlySpan<ScoringRun> runs)
    {
        while (!runs.IsEmpty)
        {
            var (users, candidates) = (0, 0);
            while (users < Math.Min(runs.Length, DeviceLayout.Users) && candidates + runs[users].Candidates <= Model.MaxCandidates)
                candidates += runs[users++].Candidates;
            if (users > 0)
                Score(runs[..users], candidates);
            else
                Score(runs[0], CallBudget.Unlimited);
            runs = runs[Math.Max(1, users)..];
        }
    }

    /// <summary>The device does not score it any more; of requests that find out together one says so.</summary>
    public void ReportFailure(string reason)
    {
        if (Interlocked.Exchange(ref hasFailed, 1) == 0)
            failed(reason);
    }

    /// <summary>Frees its place; no run is out.</summary>
    public void Dispose()
    {
        Model.Free(Slot);
        close();
    }

    private void Score(ReadOnlySpan<ScoringRun> runs, int candidates)
    {
        var staging = Model.Rent(candidates, withVectors: false);
        try
        {
            var place = 0;
            for (var user = 0; user < runs.Length; user++)
            {
                staging.AddUser(user, runs[user].User);
                staging.AddCandidates(runs[user].Columns, firstRows, user, 0, runs[user].Candidates, place);
                place += runs[user].Candidates;
            }
            staging.Pad(candidates);
            Model.Run(staging, Slot);
            place = 0;
            foreach (var run in runs)
            {
                run.Take(staging, place, 0, run.Candidates);
                place += run.Candidates;
            }
        }
        finally
        {
            Model.Return(staging);
        }
    }
}
