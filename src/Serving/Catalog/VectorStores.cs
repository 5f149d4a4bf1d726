using KdServing.Serving.Accelerators;
using KdServing.Serving.Kernels;

namespace KdServing.Serving.Catalog;

/// <summary>Vector memory, handed from version to version: the next version finds what the one before last has left, pages and valid rows alike. Any thread.</summary>
/// <param name="accelerator">Keeps the vectors too; null: only the host does.</param>
internal sealed class VectorStores(Accelerator? accelerator) : IDisposable
{
    private readonly List<ItemVectors> all = [];
    private readonly List<ItemVectors> free = [];
    private readonly Lock gate = new();

    /// <summary>Native memory of all of them.</summary>
    public long Bytes
    {
        get
        {
            lock (gate)
                return all.Sum(v => v.Bytes);
        }
    }

    /// <summary>Memory of all of them on a device.</summary>
    public long DeviceBytes
    {
        get
        {
            lock (gate)
                return all.Sum(v => v.DeviceBytes);
        }
    }

    /// <summary>A store of this shape; the most recently used one if several are free, since it has most valid rows.</summary>
    public ItemVectors Take(int width, ItemVectorFormat format)
    {
        lock (gate)
        {
            // Of another shape: a model that was made anew. It will not come back.
            foreach (var odd in free.Where(v => v.Width != width || v.Format != format).ToList())
            {
                free.Remove(odd);
                all.Remove(odd);
                odd.Dispose();
            }
            if (free.MaxBy(v => v.Ordinal) is { } best)
            {
                free.Remove(best);
                return best;
            }
            var made = new ItemVectors(width, format, accelerator);
            all.Add(made);
            return made;
        }
    }

    /// <summary>Nobody reads it any more.</summary>
    public void Return(ItemVectors vectors)
    {
        lock (gate)
            free.Add(vectors);
    }

    /// <summary>A slot is about to hold another item.</summary>
    public void Forget(int slot)
    {
        lock (gate)
        {
            foreach (var vectors in all)
                vectors.Forget(slot);
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            foreach (var vectors in all)
                vectors.Dispose();
            all.Clear();
            free.Clear();
        }
    }
}
