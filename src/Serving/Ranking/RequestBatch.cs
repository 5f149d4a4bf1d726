using KdServing.Serving.Models;

namespace KdServing.Serving.Ranking;

/// <summary>Requests of one version that are scored together. Reused; until it is sealed its fields are those of <see cref="RequestBatcher"/>, under its lock.</summary>
internal sealed class RequestBatch : IDisposable
{
    private readonly List<Member> members = [];
    private readonly ITimer timer;
    private ScoringRun[] runs = [];

    /// <param name="due">Called some time after <see cref="Open"/>; perhaps late, when the batch is another one already.</param>
    public RequestBatch(TimeProvider clock, Action<RequestBatch> due) =>
        timer = clock.CreateTimer(_ => due(this), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

    public Servable? Servable { get; private set; }

    public int Candidates { get; private set; }

    public int Requests => members.Count;

    /// <summary>It asks for its turn, or has it.</summary>
    public bool IsDispatched { get; set; }

    /// <summary>Begins anew.</summary>
    /// <param name="wait">How long it waits for others.</param>
    public void Open(Servable servable, TimeSpan wait)
    {
        (Servable, IsDispatched) = (servable, false);
        timer.Change(wait, Timeout.InfiniteTimeSpan);
    }

    /// <returns>Whether the request was scored; it completes when the batch is done.</returns>
    public Task<bool> Add(ScoringRun run, in CallBudget budget, long now)
    {
        var done = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        members.Add(new(run, budget, now, done));
        Candidates += run.Candidates;
        return done.Task;
    }

    /// <summary>Nobody joins any more; the timer has nothing to do.</summary>
    public void Seal() => timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

    /// <summary>Microseconds its requests have waited, all together.</summary>
    public double WaitedMicroseconds(TimeProvider clock)
    {
        var now = clock.GetTimestamp();
        var sum = 0.0;
        foreach (var member in members)
            sum += clock.GetElapsedTime(member.JoinedAt, now).TotalMicroseconds;
        return sum;
    }

    /// <summary>Scores those whose caller still waits; the others are left out, as if they had not joined.</summary>
    /// <param name="candidates">Of those scored.</param>
    /// <returns>Requests scored.</returns>
    public int Score(out int candidates)
    {
        var live = 0;
        candidates = 0;
        if (runs.Length < members.Count)
            runs = new ScoringRun[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)members.Count)];
        for (var i = 0; i < members.Count; i++)
        {
            if (members[i].Budget.IsSpent)
                continue;
            runs[live++] = members[i].Run;
            candidates += members[i].Run.Candidates;
            members[i] = members[i] with { IsScored = true };
        }
        // One alone needs no copy of its matrices.
        if (live == 1)
            Servable!.ScoreAlone(runs[0]);
        else if (live > 1)
            Servable!.ScoreTogether(runs.AsSpan(0, live));
        return live;
    }

    /// <summary>Tells every request how it went; empty again.</summary>
    /// <param name="isScored">False: the run did not happen.</param>
    public void Complete(bool isScored)
    {
        foreach (var member in members)
            member.Done.SetResult(isScored && member.IsScored);
        members.Clear();
        Array.Clear(runs);
        (Servable, Candidates) = (null, 0);
    }

    public void Dispose() => timer.Dispose();

    private readonly record struct Member(ScoringRun Run, CallBudget Budget, long JoinedAt, TaskCompletionSource<bool> Done, bool IsScored = false);
}
