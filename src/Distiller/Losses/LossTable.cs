using System.Globalization;
using System.Text.Json;
using KdServing.Contracts;
using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>A small table of predictions and labels, by column: <c>{"columns": {"logits": [0.5, …], "session": ["a", …]}}</c>.</summary>
/// <remarks>A cell is a number, a text, an array of numbers (one a class), or null where a teacher or a label is silent.</remarks>
public sealed class LossTable
{
    private readonly Dictionary<string, JsonElement[]> columns = new(StringComparer.Ordinal);

    private LossTable(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object || !json.TryGetProperty("columns", out var given) || given.ValueKind != JsonValueKind.Object)
            throw new ContractException("--table", """has no columns; it must be {"columns": {"logits": [0.5, 1.2], "kd_soft": [1.0, 0.3]}}""");
        foreach (var column in given.EnumerateObject())
        {
            if (column.Value.ValueKind != JsonValueKind.Array)
                throw new ContractException($"columns.{column.Name}", "is not an array");
            columns[column.Name] = [.. column.Value.EnumerateArray()];
            if (columns[column.Name].Length != columns.Values.First().Length)
            {
                throw new ContractException($"columns.{column.Name}",
                    $"has {columns[column.Name].Length} rows, '{columns.Keys.First()}' has {columns.Values.First().Length}; every column needs a value a row");
            }
        }
        if (columns.Count == 0)
            throw new ContractException("columns", "is empty");
    }

    public IReadOnlyCollection<string> Names => columns.Keys;

    public int Rows => columns.Values.First().Length;

    /// <exception cref="ContractException">Names the column and the row.</exception>
    public static LossTable Parse(string json)
    {
        try
        {
            // Elements outlive the document only when cloned.
            using var document = JsonDocument.Parse(json, new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            return new(document.RootElement.Clone());
        }
        catch (JsonException e)
        {
            throw new ContractException("--table", $"is not valid JSON: {e.Message}");
        }
    }

    /// <summary>A column of numbers: [N], or [N, C] of arrays. Null cells are NaN.</summary>
    /// <param name="field">Where the column is named; an unknown name is reported there.</param>
    /// <param name="nullable">Whether a cell may be null.</param>
    public Tensor Numbers(string? name, string field, bool nullable = false)
    {
        var cells = Cells(name, field);
        if (cells.Length == 0)
            return empty([0], dtype: ScalarType.Float64);
        var width = cells.Select(c => c.ValueKind == JsonValueKind.Array ? c.GetArrayLength() : 0).Max();
        if (width == 0)
            return tensor(cells.Select((c, row) => Number(c, name!, row, nullable)).ToArray());
        if (width == 1)
            throw new ContractException($"columns.{name}", "has arrays of one number; write the numbers alone");
        var values = new double[cells.Length * width];
        for (var row = 0; row < cells.Length; row++)
        {
            var isNull = nullable && cells[row].ValueKind == JsonValueKind.Null;
            if (!isNull && (cells[row].ValueKind != JsonValueKind.Array || cells[row].GetArrayLength() != width))
                throw new ContractException($"columns.{name}[{row}]", $"is {cells[row].GetRawText()}; every row needs an array of {width} numbers");
            for (var c = 0; c < width; c++)
                values[row * width + c] = isNull ? double.NaN : Number(cells[row][c], name!, row, false);
        }
        return tensor(values).reshape(cells.Length, width);
    }

    /// <summary>A column of ids: equal cells get equal numbers. [N]</summary>
    public long[] Ids(string name, string field)
    {
        var ids = new Dictionary<string, long>(StringComparer.Ordinal);
        return [.. Cells(name, field).Select(Id)];

        long Id(JsonElement cell)
        {
            ids.TryAdd(Text(cell), ids.Count);
            return ids[Text(cell)];
        }
    }

    /// <summary>Whether each cell is this value: as numbers if both are, else as text. [N]</summary>
    public bool[] Equal(string name, string value, string field)
    {
        var isNumber = double.TryParse(value, CultureInfo.InvariantCulture, out var number);
        return [.. Cells(name, field).Select(c => c.ValueKind == JsonValueKind.Number && isNumber ? c.GetDouble() == number : Text(c) == value)];
    }

    private JsonElement[] Cells(string? name, string field) => name is not null && columns.TryGetValue(name, out var cells)
        ? cells
        : throw new ContractException(field, $"{(name is null ? "is missing" : $"'{name}' is not a column of the table")}; one of {string.Join(", ", columns.Keys)}");

    private static double Number(JsonElement cell, string name, int row, bool nullable)
    {
        if (cell.ValueKind == JsonValueKind.Number && cell.TryGetDouble(out var value) && double.IsFinite(value))
            return value;
        if (nullable && (cell.ValueKind == JsonValueKind.Null || (cell.ValueKind == JsonValueKind.String && cell.GetString() == "NaN")))
            return double.NaN;
        throw new ContractException($"columns.{name}[{row}]", $"is {cell.GetRawText()}; must be a finite number{(nullable ? ", or null where it is unknown" : "")}");
    }

    private static string Text(JsonElement cell) => cell.ValueKind == JsonValueKind.String ? cell.GetString()! : cell.GetRawText();
}
