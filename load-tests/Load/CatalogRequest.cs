using System.Runtime.InteropServices;
using KdServing.Contracts;

namespace KdServing.LoadTests.Load;

/// <summary>Turns a request with its candidates' features into one that names the candidates by item id.</summary>
internal static class CatalogRequest
{
    private const int BatchItems = 1000;

    /// <param name="idFeature">The static item feature whose values are the ids.</param>
    /// <exception cref="LoadException">The request has no such column, or it holds no ids.</exception>
    public static RankRequest Of(RankRequest request, string idFeature, FeatureSchema schema)
    {
        var ids = request.Item.FirstOrDefault(c => c.Name == idFeature)
            ?? throw new LoadException($"--by-id: there is no item feature '{idFeature}'; item features: {string.Join(", ", request.Item.Select(c => c.Name))}");
        var byId = new RankRequest(request) { Catalog = new CatalogCandidates() };
        switch (ids.ValuesCase)
        {
            case Column.ValuesOneofCase.RawInt64:
                byId.Catalog.RawInt64 = ids.RawInt64;
                break;
            case Column.ValuesOneofCase.Ints:
                byId.Catalog.Ints = ids.Ints;
                break;
            default:
                throw new LoadException($"--by-id: item feature '{idFeature}' holds no integers");
        }
        byId.Item.Clear();
        byId.Item.AddRange(request.Item.Where(c => schema.Live.Features.Any(f => f.Name == c.Name)));
        return byId;
    }

    /// <summary>The items of some requests as batches for the catalog: each id once, with its static features.</summary>
    /// <param name="known">Ids left out; those found are added. Null: none.</param>
    public static IEnumerable<ItemBatch> Items(IReadOnlyList<RankRequest> requests, string idFeature, FeatureSchema schema, HashSet<long>? known = null)
    {
        var features = schema.Item.Features.Select(f => f.Name).ToArray();
        var batch = Begin();
        var seen = known ?? [];
        foreach (var request in requests)
        {
            var ids = Integers(request.Item.First(c => c.Name == idFeature));
            for (var n = 0; n < ids.Length; n++)
            {
                if (!seen.Add(ids[n]))
                    continue;
                if (batch.Put.Count == BatchItems)
                {
                    yield return batch;
                    batch = Begin();
                }
                batch.Put.Add(ids[n]);
                for (var f = 0; f < features.Length; f++)
                    Append(request.Item.First(c => c.Name == features[f]), n, batch.Features[f]);
            }
        }
        yield return batch;

        ItemBatch Begin()
        {
            var begun = new ItemBatch { SchemaFingerprint = schema.Fingerprint };
            begun.Features.AddRange(features.Select(name => new Column { Name = name }));
            return begun;
        }
    }

    private static long[] Integers(Column column) => column.ValuesCase == Column.ValuesOneofCase.RawInt64
        ? MemoryMarshal.Cast<byte, long>(column.RawInt64.Span).ToArray()
        : [.. column.Ints.Value];

    private static void Append(Column from, int row, Column to)
    {
        switch (from.ValuesCase)
        {
            case Column.ValuesOneofCase.RawInt64:
                (to.Ints ??= new()).Value.Add(MemoryMarshal.Cast<byte, long>(from.RawInt64.Span)[row]);
                break;
            case Column.ValuesOneofCase.Ints:
                (to.Ints ??= new()).Value.Add(from.Ints.Value[row]);
                break;
            case Column.ValuesOneofCase.RawFloat32:
                (to.Floats ??= new()).Value.Add(MemoryMarshal.Cast<byte, float>(from.RawFloat32.Span)[row]);
                break;
            case Column.ValuesOneofCase.Floats:
                (to.Floats ??= new()).Value.Add(from.Floats.Value[row]);
                break;
            case Column.ValuesOneofCase.Strings:
                (to.Strings ??= new()).Value.Add(from.Strings.Value[row]);
                break;
            default:
                var start = from.Sequences.Lengths.Take(row).Sum();
                (to.Sequences ??= new()).Lengths.Add(from.Sequences.Lengths[row]);
                to.Sequences.Value.AddRange(from.Sequences.Value.Skip(start).Take(from.Sequences.Lengths[row]));
                break;
        }
    }
}
