using System.Runtime.InteropServices;

namespace KdServing.Serving.Catalog;

/// <summary>Tells the catalog's one writer when nobody can still be reading what it has taken out.</summary>
/// <remarks>
/// Epoch-based reclamation (Fraser, "Practical lock-freedom", 2004, section 5.2.3). A reader announces itself for the length of a request;
/// what was taken out in epoch e may be used again from epoch e+2 on: an epoch ends only when every reader of the one before has left.
/// Readers never wait; a reader that stays long only delays reuse.
/// <code>
/// var epoch = epochs.Enter();   // any thread
/// … look up slots, read rows …
/// epochs.Leave(epoch);
/// </code>
/// </remarks>
internal sealed class ReaderEpochs
{
    private Counters active;
    private int epoch;

    /// <summary>Runs between reading the epoch and announcing: where a test forces the writer to move on.</summary>
    internal Action? BetweenReadAndEnter { get; set; }

    /// <summary>The writer's: what is taken out now belongs to this epoch.</summary>
    public int Current => epoch;

    /// <summary>Readers at work now; a moment's figure.</summary>
    public int Readers => Volatile.Read(ref active.Even) + Volatile.Read(ref active.Odd);

    /// <summary>Begins to read. Any thread.</summary>
    /// <returns>What <see cref="Leave"/> wants back.</returns>
    public int Enter()
    {
        while (true)
        {
            var seen = Volatile.Read(ref epoch);
            BetweenReadAndEnter?.Invoke();
            Interlocked.Increment(ref Of(seen));
            // Announced too late for an epoch that has ended meanwhile: the writer may not have seen it.
            if (Volatile.Read(ref epoch) == seen)
                return seen;
            Interlocked.Decrement(ref Of(seen));
        }
    }

    public void Leave(int entered) => Interlocked.Decrement(ref Of(entered));

    /// <summary>Begins the next epoch if every reader of the one before this has left. The writer only; never waits.</summary>
    public bool TryAdvance()
    {
        if (Volatile.Read(ref Of(epoch - 1)) != 0)
            return false;
        Interlocked.Increment(ref epoch);
        return true;
    }

    private ref int Of(int number) => ref (number & 1) == 0 ? ref active.Even : ref active.Odd;

    // A cache line each: readers on all cores write them.
    [StructLayout(LayoutKind.Explicit, Size = 192)]
    private struct Counters
    {
        [FieldOffset(64)]
        public int Even;

        [FieldOffset(128)]
        public int Odd;
    }
}
