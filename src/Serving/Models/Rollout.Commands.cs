using System.Diagnostics;
using KdServing.Serving.Control;
using KdServing.Serving.Status;

namespace KdServing.Serving.Models;

/// <content>What people, and the watch over a new version, can ask for.</content>
public sealed partial class Rollout
{
    /// <summary>Serves a version until <see cref="Unpin"/>; at once when it is loaded, else the loader is to load it.</summary>
    /// <exception cref="IOException">The pin could not be made durable; nothing has changed.</exception>
    public void Pin(long version) => Command(s => s.Accepting(version) with { Pinned = version }, () =>
    {
        var now = slot.Lineup;
        if (now.Current?.Version != version && now.Find(version) is { } loaded)
            Put(loaded, BeginEntry(version, $"pinned"), keepWarm: now.Current);
    });

    /// <summary>Back to the newest good version; the loader looks for it.</summary>
    /// <exception cref="IOException">It could not be made durable; nothing has changed.</exception>
    public void Unpin() => Command(s => s with { Pinned = 0 }, () => rollbacksInARow = 0);

    /// <summary>No automatic swaps, or again.</summary>
    /// <exception cref="IOException">It could not be made durable; nothing has changed.</exception>
    public void Hold(bool held, string reason) =>
        Command(s => s with { Held = held, HeldReason = held ? reason : "" }, () => rollbacksInARow = 0);

    /// <summary>Asks for a canary; the loader loads it. Null ends the one there is.</summary>
    public void Canary(CanaryWish? next)
    {
        lock (gate)
        {
            commands++;
            state = next is null ? state : state.Accepting(next.Version);
            if (slot.Lineup.Candidate is { } candidate && (next is null || next.Version != candidate.Version))
            {
                var entry = trial!.Entry;
                trial = null;
                ledger.Update(entry, e => e with { Error = "the canary was ended by a person" });
                Exchange(slot.Lineup with { Candidate = null, CandidateShare = 0, ShadowShare = 0 }, entry);
            }
            else if (next is not null && slot.Lineup.Candidate is { } same)
                BeginTrial(same, next, trial!.Entry);
            // A version that is loaded already, or loading, needs no wish.
            wish = next is null || slot.Lineup.Candidate is not null ? null : next;
            Signal();
        }
    }

    /// <summary>Serves a version that is loaded already.</summary>
    /// <returns>False when it is not, or is on trial.</returns>
    internal bool TryServeLoaded(long version)
    {
        lock (gate)
        {
            if (slot.Lineup is not { Previous: { } previous } now || previous.Version != version || wish is not null)
                return false;
            commands++;
            Put(previous, BeginEntry(version, "wanted"), keepWarm: now.Current);
        }
        SaveOrSay();
        return true;
    }

    /// <summary>A version can not be loaded: a wish for it is over, and who waits for it hears of it.</summary>
    internal void Refused(long version)
    {
        lock (gate)
        {
            if (wish?.Version == version)
                wish = null;
            Signal();
        }
    }

    /// <summary>Puts the canary into service.</summary>
    /// <returns>False when there is none.</returns>
    public bool Promote()
    {
        lock (gate)
        {
            if (slot.Lineup.Candidate is not { } candidate)
                return false;
            commands++;
            Put(candidate, trial!.Entry, keepWarm: slot.Current);
        }
        SaveOrSay();
        return true;
    }

    /// <summary>Back to the version before, at once. By a person: it stays pinned. By itself: newer versions may come.</summary>
    /// <param name="reason">For the log, the ledger, and the list of rejected versions.</param>
    /// <param name="done">From where to where, and how long it took until requests got the other version.</param>
    /// <returns>False when no version before is warm.</returns>
    public bool TryRollback(string reason, bool automatic, out (long From, long To, double TookMs) done)
    {
        var started = Stopwatch.GetTimestamp();
        lock (gate)
        {
            if (slot.Lineup is not { Current: { } bad, Previous: { } good })
            {
                done = default;
                return false;
            }
            commands++;
            rollbacksInARow += automatic ? 1 : 0;
            var tooMany = automatic && rollbacksInARow >= policy.RollbacksBeforeHold;
            state = state with
            {
                Pinned = automatic ? state.Pinned : good.Version,
                Rejected = new Dictionary<long, string>(state.Rejected) { [bad.Version] = reason },
                Held = state.Held || tooMany,
                HeldReason = tooMany ? $"{rollbacksInARow} rollbacks in a row, the last because {reason}" : state.HeldReason,
            };
            Put(good, BeginEntry(good.Version, $"rollback: {reason}"), keepWarm: null);
            done = (bad.Version, good.Version, Stopwatch.GetElapsedTime(started).TotalMilliseconds);
            log.RolledBack(bad.Version, good.Version, reason);
            if (tooMany)
                log.Held(state.HeldReason);
        }
        SaveOrSay();
        return true;
    }

    private void Command(Func<ControlState, ControlState> change, Action apply)
    {
        lock (gate)
        {
            var next = change(state);
            // On the disk first: who is told that a version is pinned relies on it.
            lock (file)
                file.Save(next);
            commands++;
            state = next;
            apply();
            Signal();
        }
        SaveOrSay();
    }

    private long BeginEntry(long version, string cause)
    {
        var nowMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        return ledger.Begin(new()
        {
            Version = version,
            From = slot.Current?.Version,
            Cause = cause,
            LoadStartedMs = nowMs,
            LoadedMs = nowMs,
            WarmedMs = nowMs,
            LoadMs = 0,
            WarmMs = 0,
            RssBeforeMb = SwapEntry.ResidentMb(),
        });
    }
}
