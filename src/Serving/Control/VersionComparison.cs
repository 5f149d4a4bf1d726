using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Control;

/// <summary>How two versions differ: manifest, metrics, weights of the dense graphs, rows written between them.</summary>
internal static class VersionComparison
{
    private const int Float = 1;

    // Told elsewhere in the comparison, or different by nature.
    private static readonly string[] OwnFields = ["metrics", "files"];

    /// <exception cref="ContractException">A version is missing or damaged.</exception>
    public static VersionDifference Of(string model, (ModelRepository Repository, long Version) from, (ModelRepository Repository, long Version) to)
    {
        var (a, b) = (from.Repository.Manifest(model, from.Version), to.Repository.Manifest(model, to.Version));
        var difference = new VersionDifference { From = a.Version, To = b.Version, ChangedRows = ChangedRows(from.Repository, a, to.Repository, b) };
        AddFields("", JsonNode.Parse(a.ToJson())!.AsObject(), JsonNode.Parse(b.ToJson())!.AsObject(), difference);
        foreach (var name in a.Metrics.Keys.Union(b.Metrics.Keys).Order(StringComparer.Ordinal))
            difference.Metrics.Add(new MetricDifference { Name = name, From = a.Metrics.GetValueOrDefault(name, double.NaN), To = b.Metrics.GetValueOrDefault(name, double.NaN) });
        foreach (var file in (string[])[StudentSignature.UserEncoderFile, StudentSignature.ItemEncoderFile, StudentSignature.HeadFile])
            AddWeights(file, OnnxConstants.Read(from.Repository.ReadVerified(a, file)), OnnxConstants.Read(to.Repository.ReadVerified(b, file)), difference);
        return difference;
    }

    private static void AddFields(string prefix, JsonObject from, JsonObject to, VersionDifference difference)
    {
        foreach (var name in from.Select(f => f.Key).Union(to.Select(f => f.Key)).Where(n => prefix.Length > 0 || !OwnFields.Contains(n)))
        {
            var (a, b) = (from[name], to[name]);
            if (JsonNode.DeepEquals(a, b))
                continue;
            if (a is JsonObject inner && b is JsonObject other)
                AddFields($"{prefix}{name}.", inner, other, difference);
            else
                difference.Fields.Add(new ValueDifference { Name = prefix + name, From = a?.ToJsonString() ?? "", To = b?.ToJsonString() ?? "" });
        }
    }

    private static void AddWeights(string file, IReadOnlyDictionary<string, OnnxConstant> from, IReadOnlyDictionary<string, OnnxConstant> to, VersionDifference difference)
    {
        foreach (var (name, constant) in to.Where(c => c.Value.ElementType == Float).OrderBy(c => c.Key, StringComparer.Ordinal))
        {
            var after = MemoryMarshal.Cast<byte, float>(constant.Raw);
            var before = from.TryGetValue(name, out var old) && old.Raw.Length == constant.Raw.Length
                ? MemoryMarshal.Cast<byte, float>(old.Raw) : new float[after.Length];
            var (changed, norm, max) = (0.0, 0.0, 0.0);
            for (var i = 0; i < after.Length; i++)
            {
                var change = (double)after[i] - before[i];
                changed += change * change;
                norm += (double)before[i] * before[i];
                max = Math.Max(max, Math.Abs(change));
            }
            difference.Weights.Add(new WeightDifference
            {
                File = file,
                Tensor = name,
                Elements = after.Length,
                RelativeChange = norm > 0 ? Math.Sqrt(changed / norm) : changed > 0 ? double.PositiveInfinity : 0,
                MaxChange = max,
            });
        }
    }

    // Rows in the deltas that lead from the older to the newer; a row written by two of them counts twice.
    private static long ChangedRows(ModelRepository fromRepository, VersionManifest from, ModelRepository toRepository, VersionManifest to)
    {
        var (repository, older, newer) = from.Version <= to.Version ? (toRepository, from, to) : (fromRepository, to, from);
        if (older.BaseVersion != newer.BaseVersion)
            return -1;
        return repository.Chain(newer).Where(link => link.Version > older.Version)
            .Sum(link => repository.ReadVerified(link, StudentSignature.RowsFile, RowsFile.Count));
    }
}
