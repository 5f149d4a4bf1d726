using KdServing.Contracts;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Models;

namespace KdServing.Serving.Catalog;

/// <summary>The items of a model with their static features, and for every version alive their item vectors.</summary>
/// <remarks>
/// <para>One thread writes: <see cref="NicedThread"/>, so that it gives way to requests. Requests look up ids and read rows without a lock
/// (<see cref="CatalogLookup"/>). Nothing they can see is changed in place: an item that changes gets another slot, encoded for every version
/// alive before the index names it; the old slot is used again when no request of that time is left (<see cref="ReaderEpochs"/>).</para>
/// <para>A version brings a store of vectors of its own (<see cref="VersionItems"/>), so the vectors of two versions can not meet in a reply.</para>
/// <code>
/// await catalog.OpenAsync(schema);                     // the first version is loaded: now features have a meaning
/// await catalog.ApplyAsync(batch);                     // feed: items come and go
/// await catalog.PrepareAsync(next, limit, stopping);   // loader, before the swap
/// </code>
/// </remarks>
public sealed partial class ItemCatalog : IDisposable
{
    private readonly NicedThread thread;
    private readonly VectorStores stores;
    private readonly ItemSlots slots;
    private readonly ItemEncoder encoder = new();
    private readonly List<VersionItems> versions = [];
    private readonly Stack<VectorFill> fills = [];
    private readonly Stack<CatalogLookup> idle = [];
    private readonly Lock gate = new();
    private readonly RefreshHistory history = new();
    private readonly CatalogOptions options;
    private FeatureSchema? schema;
    private Task filling = Task.CompletedTask;
    private bool isFilling;
    private VectorFill? newest;
    private long encodedByRequests;
    private long unknown;

    public ItemCatalog(CatalogOptions options, NicedThread thread) : this(options, thread, null)
    {
    }

    /// <param name="accelerator">Keeps the item vectors too.</param>
    internal ItemCatalog(CatalogOptions options, NicedThread thread, Accelerator? accelerator)
    {
        Accelerator = accelerator;
        stores = new(accelerator);
        this.options = options.Require();
        this.thread = thread;
        slots = new(Epochs);
    }

    /// <summary>Items held.</summary>
    public int Count => Index.Count;

    internal Accelerator? Accelerator { get; }

    internal ReaderEpochs Epochs { get; } = new();

    internal ItemIndex Index { get; } = new();

    internal RequestCounts Counts { get; } = new();

    internal ItemFeatures Features { get; private set; } = null!;

    /// <summary>Awaited before each step of filling: where a test holds it. Other work of the catalog's thread goes on.</summary>
    internal Func<Task>? BeforeStep { get; set; }

    /// <summary>What the catalog holds and how far the newest version's vectors are.</summary>
    public CatalogFigures Figures()
    {
        var fill = Volatile.Read(ref newest);
        return new()
        {
            Items = Count,
            Slots = slots.End,
            Version = fill?.Version.Servable.Version ?? 0,
            Encoding = fill?.Count ?? 0,
            Left = fill?.Left ?? 0,
            CoveredShare = fill?.Share ?? 1,
            CoreSeconds = fill?.Spent.TotalSeconds ?? 0,
            EncodedByRequests = Volatile.Read(ref encodedByRequests),
            UnknownCandidates = Volatile.Read(ref unknown),
            VectorBytes = stores.Bytes,
            DeviceVectorBytes = stores.DeviceBytes,
            FeatureBytes = Features?.Bytes ?? 0,
            IndexBytes = (long)Index.Capacity * ItemIndex.EntryBytes,
        };
    }

    /// <summary>Says what the items' features are; the first version's schema does. Once.</summary>
    public Task OpenAsync(FeatureSchema first) => OnThreadAsync(() =>
    {
        schema = first;
        Features = new(new(first.Item));
    });

    /// <summary>Puts and removes items; done when requests see all of it.</summary>
    /// <param name="batch">Validated.</param>
    /// <exception cref="ContractException">The catalog would hold more items than it may; nothing is applied.</exception>
    public Task<BatchOutcome> ApplyAsync(ItemBatch batch) => thread.RunAsync(() => Apply(batch));

    /// <summary>Gives a loaded version its item vectors: those requested most first.</summary>
    /// <returns>Completes when 99 % of the last minute's requested items are there, or at the limit; the rest follows in the background.</returns>
    /// <exception cref="VersionRefusedException">The version's schema has other static item features, or its encoder makes vectors that are not finite.</exception>
    public async Task PrepareAsync(Servable next, CancellationToken stopping)
    {
        var (fill, isFirst) = await thread.RunAsync(() => Begin(next));
        if (isFirst)
        {
            lock (gate)
                filling = FillAsync();
        }
        await Task.WhenAny(fill.Covered, Task.Delay(options.WaitLimit, stopping));
        if (fill.Covered.IsFaulted)
            await fill.Covered;
        await OnThreadAsync(() => SetColdStart(fill.Version));
    }

    /// <summary>A look-up to use for one request; give it back with <see cref="Return"/>.</summary>
    public CatalogLookup Rent()
    {
        lock (idle)
        {
            if (idle.TryPop(out var lookup))
                return lookup;
        }
        return new(this);
    }

    public void Return(CatalogLookup lookup)
    {
        lookup.Release();
        lock (idle)
            idle.Push(lookup);
    }

    /// <summary>Completes when every version's vectors are there.</summary>
    public Task FilledAsync()
    {
        lock (gate)
            return filling;
    }

    /// <summary>Every item, a batch at a time; not on the catalog's thread.</summary>
    /// <remarks>Items that change while this runs may be missing or be there twice: whoever reads on from where the stream stood before has them right.</remarks>
    internal IEnumerable<ItemBatch> Items(int batchSlots)
    {
        for (var first = 0; first < slots.End; first += batchSlots)
        {
            var from = first;
            var batch = thread.RunAsync(() => ItemsOf(from, Math.Min(from + batchSlots, slots.End))).GetAwaiter().GetResult();
            if (batch.Put.Count > 0)
                yield return batch;
        }
    }

    /// <summary>Looks after the counts of requests: once a second, and once a window of them.</summary>
    internal Task TickAsync(bool windowEnds) => OnThreadAsync(() =>
    {
        Counts.Adjust();
        if (windowEnds)
            Counts.Rotate();
        slots.Reclaim();
    });

    internal void Release(VersionItems version)
    {
        lock (versions)
            versions.Remove(version);
        stores.Return(version.Vectors);
    }

    internal void NoteUnknown(int candidates) => Interlocked.Add(ref unknown, candidates);

    internal void NoteEncodedByRequest(int items) => Interlocked.Add(ref encodedByRequests, items);

    /// <summary>When no request and no version uses it any more.</summary>
    public void Dispose()
    {
        while (idle.TryPop(out var lookup))
            lookup.Dispose();
        encoder.Dispose();
        stores.Dispose();
    }

    private BatchOutcome Apply(ItemBatch batch)
    {
        if (slots.Live + batch.Put.Count > options.MaxItems)
            throw new ContractException("put", $"the catalog holds {slots.Live} items and may hold {options.MaxItems}; raise --catalog-max-items or remove some");
        var rows = ItemRows.From(batch, schema!.Item);
        var fresh = new List<int>();
        for (var r = 0; r < batch.Put.Count; r++)
        {
            var before = Index.Find(batch.Put[r]);
            // Read again after a restart, or put again unchanged: nothing to do.
            if (before >= 0 && Features.Equals(before, rows, r))
                continue;
            var slot = slots.Take(batch.Put[r]);
            Features.Write(slot, rows, r);
            Counts.Reserve(slots.End);
            Counts.Move(before, slot);
            history.Take(slot);
            stores.Forget(slot);
            fresh.Add(slot);
        }
        foreach (var version in Versions())
            EncodeFor(version, fresh.ToArray());
        var added = 0;
        foreach (var slot in fresh)
        {
            var before = Index.Set(slots.IdOf(slot), slot);
            if (before >= 0)
                slots.Release(before);
            else
                added++;
        }
        var removed = 0;
        foreach (var id in batch.Remove)
        {
            var before = Index.Remove(id);
            if (before < 0)
                continue;
            slots.Release(before);
            removed++;
        }
        slots.Reclaim();
        return new(added, fresh.Count - added, removed, batch.Put.Count - fresh.Count);
    }

    private ItemBatch ItemsOf(int first, int end)
    {
        var live = Enumerable.Range(first, end - first).Where(slots.IsLive).ToList();
        var batch = new ItemBatch { Put = { live.Select(slots.IdOf) } };
        if (live.Count > 0)
            batch.Features.AddRange(Features.Columns(live));
        return batch;
    }

    private VersionItems[] Versions()
    {
        lock (versions)
            return [.. versions];
    }

    private Task OnThreadAsync(Action step) => thread.RunAsync(() =>
    {
        step();
        return true;
    });
}

/// <summary>What a batch changed.</summary>
public readonly record struct BatchOutcome(int Added, int Replaced, int Removed, int Unchanged);
