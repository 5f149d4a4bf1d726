namespace KdServing.Serving.Models;

/// <summary>The runs of one version that nobody scores in. Any thread.</summary>
/// <param name="make">A run in some buffers.</param>
internal sealed class ScoringRuns(ScoringBufferPool pool, Func<ScoringBuffers, ScoringRun> make)
{
    private readonly Stack<ScoringRun> idle = [];
    private readonly Lock gate = new();

    public ScoringRun Rent()
    {
        lock (gate)
        {
            if (idle.TryPop(out var run))
                return run;
        }
        return make(pool.Rent());
    }

    public void Return(ScoringRun run)
    {
        lock (gate)
            idle.Push(run);
    }

    /// <summary>Gives the buffers back; when no run is out.</summary>
    public void Clear()
    {
        while (idle.TryPop(out var run))
        {
            run.Dispose();
            pool.Return(run.Buffers);
        }
    }
}
