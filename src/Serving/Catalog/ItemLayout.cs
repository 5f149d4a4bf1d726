using KdServing.Contracts;

namespace KdServing.Serving.Catalog;

/// <summary>What is kept of a static feature: an id, a number, or a list of ids.</summary>
internal enum ItemValueKind
{
    Id,
    Number,
    Ids,
}

/// <summary>The raw static features of an item, in the order of the schema. Versions whose schemas have the same layout share a catalog.</summary>
internal sealed class ItemLayout(FeatureGroup group)
{
    public IReadOnlyList<(string Name, ItemValueKind Kind)> Values { get; } = [.. group.Features.Select(f => (f.Name, KindOf(f)))];

    /// <summary>Bytes an item, without the lists of sequences.</summary>
    public int ItemBytes => Values.Sum(v => v.Kind == ItemValueKind.Number ? sizeof(float) : sizeof(long));

    public static ItemValueKind KindOf(Feature feature) => feature.Kind switch
    {
        FeatureKind.Numeric => ItemValueKind.Number,
        FeatureKind.Sequence => ItemValueKind.Ids,
        _ => ItemValueKind.Id,
    };

    /// <summary>Why a schema can not use items of this layout; null when it can.</summary>
    public string? Conflict(FeatureSchema schema)
    {
        var theirs = new ItemLayout(schema.Item);
        return theirs.Values.SequenceEqual(Values)
            ? null
            : $"has the static item features {theirs}; the item catalog holds {this}. Start a server with an empty catalog folder, and put the items again";
    }

    public override string ToString() => string.Join(", ", Values.Select(v => $"{v.Name} ({v.Kind.ToString().ToLowerInvariant()})"));
}
