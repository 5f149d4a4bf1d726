namespace KdServing.Serving.Models;

/// <summary>Scoring buffers that are free now. A swap hands them from version to version, so that a new one touches no new memory. Any thread.</summary>
public sealed class ScoringBufferPool : IDisposable
{
    private readonly Stack<ScoringBuffers> free = [];
    private readonly Lock gate = new();
    private bool disposed;

    internal ScoringBuffers Rent()
    {
        lock (gate)
            return free.TryPop(out var buffers) ? buffers : new();
    }

    internal void Return(ScoringBuffers buffers)
    {
        lock (gate)
        {
            if (!disposed)
            {
                free.Push(buffers);
                return;
            }
        }
        buffers.Dispose();
    }

    public void Dispose()
    {
        lock (gate)
        {
            disposed = true;
            while (free.TryPop(out var buffers))
                buffers.Dispose();
        }
    }
}
