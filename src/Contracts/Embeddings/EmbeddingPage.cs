using System.Runtime.InteropServices;

namespace KdServing.Contracts;

/// <summary>A run of embedding rows in native memory, shared by the tables that forked from one another.</summary>
internal sealed unsafe class EmbeddingPage
{
    private int owners = 1;

    public EmbeddingPage(int floats)
    {
        Floats = floats;
        Data = (float*)NativeMemory.AlignedAlloc((nuint)floats * sizeof(float), 64);
    }

    public float* Data { get; private set; }

    public int Floats { get; }

    /// <summary>More than one table reads this page: it must be copied before it is written.</summary>
    public bool IsShared => Volatile.Read(ref owners) > 1;

    public void Share() => Interlocked.Increment(ref owners);

    public void Release()
    {
        if (Interlocked.Decrement(ref owners) > 0)
            return;
        NativeMemory.AlignedFree(Data);
        Data = null;
    }

    public EmbeddingPage Copy()
    {
        var copy = new EmbeddingPage(Floats);
        new ReadOnlySpan<float>(Data, Floats).CopyTo(new Span<float>(copy.Data, Floats));
        return copy;
    }
}
