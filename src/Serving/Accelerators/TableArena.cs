using System.Globalization;
using KdServing.Contracts;

namespace KdServing.Serving.Accelerators;

/// <summary>Tables of one width that candidates' features read, one after another in a device's memory.</summary>
/// <param name="Width">Floats a row.</param>
/// <param name="Rows">Of all of them.</param>
/// <param name="FirstRows">Where a table begins, by its number in <see cref="FeatureSchema.Tables"/>.</param>
internal sealed record TableArena(int Width, long Rows, IReadOnlyDictionary<int, int> FirstRows)
{
    /// <summary>Of the graph's input.</summary>
    public string Name => NameOf(Width);

    public long Bytes => sizeof(float) * Rows * Width;

    public static string NameOf(int width) => string.Create(CultureInfo.InvariantCulture, $"arena/{width}");

    /// <exception cref="ContractException">There are more rows of one width than an int32 counts.</exception>
    public static IReadOnlyList<TableArena> Of(FeatureSchema schema)
    {
        var tables = schema.Item.Features.Concat(schema.Live.Features)
            .Where(f => f.Kind is FeatureKind.Hash or FeatureKind.Vocabulary).Select(f => f.Table).Distinct().Order();
        return [.. tables.GroupBy(t => schema.Tables[t].Width).OrderBy(g => g.Key).Select(g => Of(g.Key, g, schema))];
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Width}x{Rows}@{string.Join(',', FirstRows.Select(f => $"{f.Key}:{f.Value}"))}");

    private static TableArena Of(int width, IEnumerable<int> tables, FeatureSchema schema)
    {
        var first = new Dictionary<int, int>();
        var rows = 0L;
        foreach (var table in tables)
        {
            first[table] = rows <= int.MaxValue ? (int)rows
                : throw new ContractException("schema", $"has more than {int.MaxValue} rows of width {width}; a device does not count them");
            rows += schema.Tables[table].Rows;
        }
        return new(width, rows, first);
    }
}
