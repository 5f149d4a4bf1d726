using KdServing.Contracts;
using KdServing.Distiller.Publishing.Onnx;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Distiller.Publishing;

/// <summary>A golden batch as one run: every case is a user row, its candidates follow those of the case before.</summary>
internal sealed class GoldenInputs
{
    private readonly FeatureSchema schema;
    private readonly Column[][] userColumns;
    private readonly Column[][] itemColumns;
    private readonly int[] counts;

    /// <exception cref="ContractException">A case does not fit the schema, or its logits do not fit its candidates.</exception>
    public GoldenInputs(FeatureSchema schema, GoldenBatch golden)
    {
        if (golden.Cases.Count == 0)
            throw new ContractException("golden.cases", "must hold at least one request: a version can not be checked without");
        this.schema = schema;
        userColumns = new Column[golden.Cases.Count][];
        itemColumns = new Column[golden.Cases.Count][];
        counts = new int[golden.Cases.Count];
        for (var c = 0; c < counts.Length; c++)
        {
            var (request, logits) = (golden.Cases[c].Request, golden.Cases[c].Logits);
            counts[c] = request.CandidateCount;
            if (counts[c] < 1 || logits.Count != counts[c] * schema.Targets.Count)
            {
                throw new ContractException($"golden.cases[{c}].logits",
                    $"has {logits.Count} values for {counts[c]} candidates and {schema.Targets.Count} targets");
            }
            userColumns[c] = new Column[schema.User.Features.Count];
            ColumnReader.Match(request.User, $"golden.cases[{c}].user", 1, [schema.User], userColumns[c]);
            itemColumns[c] = new Column[schema.Item.Features.Count + schema.Live.Features.Count];
            ColumnReader.Match(request.Item, $"golden.cases[{c}].item", counts[c], [schema.Item, schema.Live], itemColumns[c]);
        }
        Logits = [.. golden.Cases.SelectMany(c => c.Logits)];
        RowOf = [.. counts.SelectMany((count, c) => Enumerable.Repeat((long)c, count))];
    }

    /// <summary>The trainer's logits, [N, T].</summary>
    public float[] Logits { get; }

    /// <summary>Which case each candidate belongs to, [N].</summary>
    public long[] RowOf { get; }

    public int Users => counts.Length;

    public int Candidates => RowOf.Length;

    /// <summary>The assembled matrices: user [U, ·], item [N, ·], live [N, ·].</summary>
    public (float[] User, float[] Item, float[] Live) Assemble(IReadOnlyList<EmbeddingTable> tables)
    {
        var assembler = new FeatureAssembler(schema, tables);
        var user = new float[Users * schema.User.Width];
        var item = new float[Candidates * schema.Item.Width];
        var live = new float[Candidates * schema.Live.Width];
        for (int c = 0, first = 0; c < Users; first += counts[c++])
        {
            assembler.AssembleUser(userColumns[c], user.AsSpan(c * schema.User.Width));
            assembler.AssembleItems(itemColumns[c], counts[c],
                item.AsSpan(first * schema.Item.Width), live.AsSpan(first * schema.Live.Width));
        }
        return (user, item, live);
    }

    /// <summary>Inputs of <c>ranker.onnx</c>. The caller disposes the values.</summary>
    public Dictionary<string, OrtValue> RankerInputs()
    {
        var inputs = new Dictionary<string, OrtValue>
        {
            [StudentSignature.RowOf] = OrtValue.CreateTensorValueFromMemory(RowOf, [Candidates]),
        };
        AddGroup(schema.User, userColumns, 0, [.. Enumerable.Repeat(1, Users)]);
        AddGroup(schema.Item, itemColumns, 0, counts);
        AddGroup(schema.Live, itemColumns, schema.Item.Features.Count, counts);
        return inputs;

        void AddGroup(FeatureGroup group, Column[][] columns, int firstColumn, int[] rows)
        {
            for (var k = 0; k < group.Features.Count; k++)
            {
                var feature = group.Features[k];
                var cases = columns.Select(c => c[firstColumn + k]).ToArray();
                var name = feature.Kind == FeatureKind.Numeric ? RankerGraph.ValueInput(feature) : RankerGraph.RowsInput(feature);
                inputs[name] = Input(feature, cases, rows);
            }
        }
    }

    private static OrtValue Input(Feature feature, Column[] cases, int[] rows)
    {
        var total = rows.Sum();
        if (feature.Kind == FeatureKind.Numeric)
        {
            var values = new float[total];
            for (int c = 0, first = 0; c < cases.Length; first += rows[c++])
                ColumnReader.ReadNumbers(feature, cases[c], rows[c], values.AsSpan(first), stride: 1);
            return OrtValue.CreateTensorValueFromMemory(values, [total]);
        }
        if (feature.Kind == FeatureKind.Sequence)
        {
            var padded = new long[total * feature.MaxLength];
            for (int c = 0, first = 0; c < cases.Length; first += rows[c++])
                PadSequences(feature, cases[c], rows[c], padded.AsSpan(first * feature.MaxLength));
            return OrtValue.CreateTensorValueFromMemory(padded, [total, feature.MaxLength]);
        }
        var ids = new int[total];
        for (int c = 0, first = 0; c < cases.Length; first += rows[c++])
            ColumnReader.ReadTableRows(feature, cases[c], ids.AsSpan(first, rows[c]));
        return OrtValue.CreateTensorValueFromMemory(Array.ConvertAll(ids, id => (long)id), [total]);
    }

    private static void PadSequences(Feature feature, Column column, int rows, Span<long> padded)
    {
        var (tableRows, lengths) = (new List<int>(), new int[rows]);
        ColumnReader.ReadSequences(feature, column, tableRows, lengths);
        padded[..(rows * feature.MaxLength)].Fill(-1);
        for (int r = 0, next = 0; r < rows; r++)
        {
            for (var i = 0; i < lengths[r]; i++)
                padded[r * feature.MaxLength + i] = tableRows[next++];
        }
    }
}
