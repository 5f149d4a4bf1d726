using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace KdServing.Contracts;

/// <summary>One embedding table; several features may share it.</summary>
public sealed record TableShape(string Name, int Rows, int Width);

/// <summary>Features of one side in the order of their vector. <see cref="Width"/> is the vector's length.</summary>
public sealed record FeatureGroup(string Name, IReadOnlyList<Feature> Features, int Width);

/// <summary>What a model reads: every feature with its kind, table and place. Immutable; thread-safe.</summary>
/// <remarks>
/// Four groups of features make the four vectors of the student's signature: <see cref="User"/> (user and context, one row a
/// request), <see cref="Item"/> (static, N rows), <see cref="Live"/> (live item and cross, N rows) and
/// <see cref="Privileged"/> (the teacher's, N rows).
/// </remarks>
public sealed class FeatureSchema
{
    private FeatureSchema(string name, IReadOnlyList<string> targets, IReadOnlyList<TableShape> tables,
        FeatureGroup user, FeatureGroup item, FeatureGroup live, FeatureGroup privileged, string json)
    {
        Name = name;
        Targets = targets;
        Tables = tables;
        User = user;
        Item = item;
        Live = live;
        Privileged = privileged;
        Json = json;
        Fingerprint = ComputeFingerprint();
    }

    public string Name { get; }

    /// <summary>What is predicted, e.g. <c>click</c>; the order of the logit columns.</summary>
    public IReadOnlyList<string> Targets { get; }

    public IReadOnlyList<TableShape> Tables { get; }

    public FeatureGroup User { get; }

    public FeatureGroup Item { get; }

    public FeatureGroup Live { get; }

    public FeatureGroup Privileged { get; }

    /// <summary>Identifies the meaning of every column: equal fingerprints read the same bytes alike. Never 0.</summary>
    public ulong Fingerprint { get; }

    /// <summary>The text it was parsed from.</summary>
    public string Json { get; }

    /// <exception cref="ContractException">The file breaks a rule; names the field.</exception>
    public static FeatureSchema Parse(string json)
    {
        var schema = SchemaJson.Parse(json);
        var name = Identifier.Require(schema.Name, "name");
        if (schema.Targets is not { Count: > 0 })
            throw new ContractException("targets", "must name at least one target, e.g. [\"click\"]");
        for (var i = 0; i < schema.Targets.Count; i++)
            Identifier.Require(schema.Targets[i], $"targets[{i}]");
        if (schema.Targets.Distinct().Count() != schema.Targets.Count)
            throw new ContractException("targets", "names a target twice");
        if (schema.Features is not { Count: > 0 })
            throw new ContractException("features", "must list at least one feature");

        var builder = new SchemaBuilder();
        for (var i = 0; i < schema.Features.Count; i++)
            builder.Add(schema.Features[i], $"features[{i}]");
        if (builder.Item.Count == 0)
            throw new ContractException("features", "must hold at least one static feature of side 'item'");
        if (builder.User.Count == 0)
            throw new ContractException("features", "must hold at least one feature of side 'user' or 'context'");
        return new(name, schema.Targets, builder.Tables,
            Group("user", builder.User), Group("item", builder.Item),
            Group("live", builder.Live), Group("privileged", builder.Privileged), json);
    }

    /// <exception cref="ContractException">The file is missing or breaks a rule.</exception>
    public static FeatureSchema Load(string path) =>
        File.Exists(path)
            ? Parse(File.ReadAllText(path))
            : throw new ContractException("schema", $"no file {path}");

    private static FeatureGroup Group(string name, List<Feature> features) =>
        new(name, features, features.Sum(f => f.Width));

    // Every property that changes what bytes mean, spelled out: a canonical text, so that formatting does not matter.
    private ulong ComputeFingerprint()
    {
        var text = new StringBuilder("kdserving-schema-1\n").AppendJoin(',', Targets).Append('\n');
        foreach (var f in new[] { User, Item, Live, Privileged }.SelectMany(g => g.Features))
        {
            text.Append(CultureInfo.InvariantCulture,
                $"{f.Name}|{f.Side}|{f.Kind}|{f.Volatility}|{f.Width}|{f.Table}|{f.Buckets}|{f.HashSeed:x}|{f.MaxLength}|");
            text.Append(CultureInfo.InvariantCulture, $"{f.Transform}|{f.Mean:R}|{f.StandardDeviation:R}|");
            text.AppendJoin(",", f.Vocabulary.OrderBy(v => v.Value).Select(v => v.Key)).Append('\n');
        }
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString()));
        return Math.Max(1, BinaryPrimitives.ReadUInt64LittleEndian(hash));
    }
}
