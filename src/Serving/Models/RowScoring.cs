using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>Checks and reads requests that bring table rows instead of ids. Immutable; any thread.</summary>
internal sealed class RowScoring
{
    private readonly EmbeddingTable[] userTables;
    private readonly EmbeddingTable[] itemTables;
    private readonly string? otherFeature;

    /// <param name="tables">In the order of <see cref="FeatureSchema.Tables"/>.</param>
    public RowScoring(FeatureSchema schema, IReadOnlyList<EmbeddingTable> tables)
    {
        otherFeature = schema.User.Features.Concat(schema.Item.Features).FirstOrDefault(f => f.Kind is FeatureKind.Numeric or FeatureKind.Sequence)?.Name
            ?? schema.Live.Features.FirstOrDefault()?.Name;
        userTables = otherFeature is null ? [.. schema.User.Features.Select(f => tables[f.Table])] : [];
        itemTables = otherFeature is null ? [.. schema.Item.Features.Select(f => tables[f.Table])] : [];
    }

    /// <returns>Candidates.</returns>
    /// <exception cref="ContractException">A row is outside its table, their number is wrong, or the schema has features that are not one id.</exception>
    public int Require(ReadOnlySpan<int> userRows, ReadOnlySpan<int> itemRows)
    {
        if (otherFeature is not null)
            throw new ContractException("rows", $"can not stand for feature '{otherFeature}', which is not one static id; send columns");
        if (userRows.Length != userTables.Length)
            throw new ContractException("user rows", $"are {userRows.Length}; the schema has {userTables.Length} features");
        if (itemRows.IsEmpty || itemRows.Length % itemTables.Length != 0)
            throw new ContractException("item rows", $"are {itemRows.Length}; must be candidates × {itemTables.Length}");
        Require(userRows, userTables, "user rows");
        Require(itemRows, itemTables, "item rows");
        return itemRows.Length / itemTables.Length;
    }

    public void AssembleUser(ReadOnlySpan<int> rows, Span<float> user)
    {
        for (var k = 0; k < rows.Length; k++)
        {
            userTables[k][rows[k]].CopyTo(user);
            user = user[userTables[k].Width..];
        }
    }

    private static void Require(ReadOnlySpan<int> rows, EmbeddingTable[] tables, string field)
    {
        for (var k = 0; k < rows.Length; k += tables.Length)
        {
            for (var f = 0; f < tables.Length; f++)
            {
                if ((uint)rows[k + f] >= (uint)tables[f].Rows)
                    throw new ContractException(field, $"[{k + f}] is {rows[k + f]}; the table has {tables[f].Rows} rows");
            }
        }
    }
}
