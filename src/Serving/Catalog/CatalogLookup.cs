using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Catalog;

/// <summary>Turns a request's item ids into the addresses of their vectors, all of one version. One request at a time; allocates nothing a candidate.</summary>
/// <remarks>
/// <code>
/// var lookup = catalog.Rent();
/// try
/// {
///     lookup.Resolve(servable.Items!, ids, budget);
///     servable.Score(request, lookup.Vectors, lookup.Format, run, budget);
/// }
/// finally { catalog.Return(lookup); }
/// </code>
/// The addresses are valid from <see cref="Resolve(VersionItems, ReadOnlySpan{long}, in CallBudget)"/> until the return: until then no slot
/// the request has seen is used for another item. An item whose vector the version does not have yet is encoded here, into memory of the request's own.
/// </remarks>
public sealed class CatalogLookup : IDisposable
{
    private readonly ItemCatalog catalog;
    private readonly ItemEncoder encoder = new();
    private readonly NativeBuffer own = new();
    private readonly DeviceMemory? ownPinned;
    private int[] slots = [];
    private nint[] addresses = [];
    private long[] ids = [];
    private int[] pending = [];
    private int[] unknown = [];
    private int? epoch;

    internal CatalogLookup(ItemCatalog catalog)
    {
        this.catalog = catalog;
        ownPinned = catalog.Accelerator is { } accelerator ? new(accelerator, isOnHost: true) : null;
    }

    /// <summary>Candidates looked up.</summary>
    public int Count { get; private set; }

    /// <summary>Address of each candidate's vector; [N].</summary>
    public ReadOnlySpan<nint> Vectors => addresses.AsSpan(0, Count);

    public ItemVectorFormat Format { get; private set; }

    /// <summary>The addresses are of a device's memory.</summary>
    public bool IsOnDevice { get; private set; }

    /// <summary>Candidates whose id the catalog does not hold.</summary>
    public int UnknownCount { get; private set; }

    /// <summary>Their positions, ascending.</summary>
    public ReadOnlySpan<int> Unknown => unknown.AsSpan(0, UnknownCount);

    /// <summary>Runs between the look-up of the slots and that of the rows: where a test changes the catalog.</summary>
    internal Action? BetweenSlotsAndRows { get; set; }

    /// <summary>Looks up the candidates of a request as it came off the wire.</summary>
    /// <inheritdoc cref="Resolve(VersionItems, CatalogCandidates, int, in CallBudget)"/>
    public void Resolve(VersionItems version, RankCall call, in CallBudget budget)
    {
        var count = call.Header.CandidateCount;
        if (WireCandidates.TryRead(call.Candidates, out var candidates) && TryRead(candidates, count, out var found))
            Resolve(version, found, budget);
        else
            Resolve(version, call.ToMessage().Catalog, count, budget);
    }

    /// <summary>Looks up the candidates of a request.</summary>
    /// <exception cref="ContractException">There are not as many ids as candidates.</exception>
    public void Resolve(VersionItems version, CatalogCandidates candidates, int count, in CallBudget budget)
    {
        switch (candidates.IdsCase)
        {
            case CatalogCandidates.IdsOneofCase.RawInt64 when candidates.RawInt64.Length == checked(count * sizeof(long)):
                Resolve(version, MemoryMarshal.Cast<byte, long>(candidates.RawInt64.Span), budget);
                break;
            case CatalogCandidates.IdsOneofCase.Ints when candidates.Ints.Value.Count == count:
                Reserve(ref ids, count);
                candidates.Ints.Value.CopyTo(ids, 0);
                Resolve(version, ids.AsSpan(0, count), budget);
                break;
            case CatalogCandidates.IdsOneofCase.RawInt64:
                throw new ContractException("catalog.raw_int64", $"has {candidates.RawInt64.Length} bytes, expected {count * (long)sizeof(long)} for {count} candidates");
            case CatalogCandidates.IdsOneofCase.Ints:
                throw new ContractException("catalog.ints", $"has {candidates.Ints.Value.Count} ids for {count} candidates");
            default:
                throw new ContractException("catalog", "holds no ids; give ints or raw_int64");
        }
    }

    /// <summary>Looks up ids.</summary>
    /// <exception cref="TimeoutException">The deadline passed while missing vectors were encoded.</exception>
    /// <exception cref="OperationCanceledException">The caller went away.</exception>
    public void Resolve(VersionItems version, ReadOnlySpan<long> ids, in CallBudget budget)
    {
        Count = ids.Length;
        IsOnDevice = version.Servable.Engine == ScoringEngine.Device && version.Vectors.IsOnDevice;
        Format = version.Vectors.Format;
        Reserve(ref slots, Count);
        Reserve(ref addresses, Count);
        // Again, for the same request: on the processor after a device has failed.
        epoch ??= catalog.Epochs.Enter();
        var found = slots.AsSpan(0, Count);
        catalog.Index.Find(ids, found);
        BetweenSlotsAndRows?.Invoke();
        var missing = version.Vectors.Resolve(found, addresses, IsOnDevice);
        NoteUnknown(found);
        if (missing > 0)
            EncodeMissing(version, found, missing, budget);
        catalog.Counts.Count(found);
    }

    /// <summary>Lets go of what was looked up.</summary>
    internal void Release()
    {
        if (epoch is { } entered)
            catalog.Epochs.Leave(entered);
        epoch = null;
        Count = 0;
    }

    public void Dispose()
    {
        encoder.Dispose();
        own.Dispose();
        ownPinned?.Dispose();
    }

    private bool TryRead(in WireCandidates candidates, int count, out ReadOnlySpan<long> found)
    {
        if (candidates.Kind == CatalogCandidates.IdsOneofCase.RawInt64)
        {
            found = MemoryMarshal.Cast<byte, long>(candidates.Ids);
            return candidates.Ids.Length == count * (long)sizeof(long);
        }
        Reserve(ref ids, count);
        found = ids.AsSpan(0, count);
        var varints = new Varints(candidates.Ids);
        return varints.TryRead(ids.AsSpan(0, count)) && varints.IsAtEnd;
    }

    private void NoteUnknown(ReadOnlySpan<int> found)
    {
        UnknownCount = 0;
        if (found.IndexOf(-1) < 0)
            return;
        Reserve(ref unknown, found.Length);
        for (var n = 0; n < found.Length; n++)
        {
            if (found[n] < 0)
                unknown[UnknownCount++] = n;
        }
        catalog.NoteUnknown(UnknownCount);
    }

    private void EncodeMissing(VersionItems version, ReadOnlySpan<int> found, int missing, in CallBudget budget)
    {
        var vectors = version.Vectors;
        Reserve(ref pending, ItemEncoder.BatchItems);
        var row = OwnRows((long)missing * vectors.RowBytes);
        for (var n = 0; n < found.Length;)
        {
            var first = n;
            var batch = 0;
            for (; n < found.Length && batch < ItemEncoder.BatchItems; n++)
            {
                if (addresses[n] == 0)
                    pending[batch++] = found[n];
            }
            if (batch == 0)
                break;
            budget.ThrowIfSpent();
            var encoded = encoder.Encode(version, catalog.Features, pending.AsSpan(0, batch));
            for (int m = first, k = 0; k < batch; m++)
            {
                if (addresses[m] != 0)
                    continue;
                ItemVectors.WriteRow(row, encoded.Slice(k++ * vectors.Width, vectors.Width), vectors.Format);
                addresses[m] = row;
                row += vectors.RowBytes;
            }
        }
        catalog.NoteEncodedByRequest(missing);
    }

    // Memory that a device reads, when it is to.
    private nint OwnRows(long bytes)
    {
        if (IsOnDevice)
        {
            ownPinned!.Reserve(bytes);
            return ownPinned.Address;
        }
        own.Reserve(bytes);
        return own.Address;
    }

    private static void Reserve<T>(ref T[] array, int count)
    {
        if (array.Length < count)
            array = new T[Math.Max(count, 2 * array.Length)];
    }
}
