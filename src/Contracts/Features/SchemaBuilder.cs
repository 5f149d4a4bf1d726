namespace KdServing.Contracts;

/// <summary>Turns the features of <c>schema.json</c> into groups and tables, checking each field as it goes.</summary>
internal sealed class SchemaBuilder
{
    private const int MaxBuckets = 1 << 30;
    private const int MaxWidth = 1024;

    private static readonly Dictionary<long, int> NoVocabulary = [];
    private readonly HashSet<string> names = [];

    public List<TableShape> Tables { get; } = [];

    public List<Feature> User { get; } = [];

    public List<Feature> Item { get; } = [];

    public List<Feature> Live { get; } = [];

    public List<Feature> Privileged { get; } = [];

    public void Add(SchemaJson.FeatureJson f, string field)
    {
        var name = Identifier.Require(f.Name, $"{field}.name");
        if (!names.Add(name))
            throw new ContractException($"{field}.name", $"'{name}' is defined twice");
        var side = f.Side ?? throw new ContractException($"{field}.side",
            $"of '{name}' is missing; one of user, context, item, cross, privileged");
        var kind = f.Kind ?? throw new ContractException($"{field}.kind",
            $"of '{name}' is missing; one of hash, vocabulary, numeric, sequence");
        if (f.Volatility == Volatility.Live && side != FeatureSide.Item)
            throw new ContractException($"{field}.volatility", $"'live' is for items; '{name}' is of side '{side}'".ToLowerInvariant());

        var group = side switch
        {
            FeatureSide.User or FeatureSide.Context => User,
            FeatureSide.Privileged => Privileged,
            FeatureSide.Cross => Live,
            _ => f.Volatility == Volatility.Live ? Live : Item,
        };
        var vocabulary = kind == FeatureKind.Vocabulary ? Vocabulary(f, field) : NoVocabulary;
        var table = kind == FeatureKind.Numeric ? -1 : Table(f, name, vocabulary.Count, field);
        group.Add(new Feature
        {
            Name = name,
            Side = side,
            Kind = kind,
            Volatility = f.Volatility,
            Width = table < 0 ? 1 : Tables[table].Width,
            Offset = group.Sum(g => g.Width),
            Table = table,
            Buckets = table < 0 ? 0 : Tables[table].Rows,
            HashSeed = table < 0 ? 0 : FeatureHash.Seed(Tables[table].Name),
            Vocabulary = vocabulary,
            MaxLength = kind == FeatureKind.Sequence ? Range(f.MaxLength ?? 50, 1, 1000, $"{field}.max_length") : 0,
            Transform = f.Transform,
            Mean = float.IsFinite(f.Mean) ? f.Mean : throw new ContractException($"{field}.mean", "must be finite"),
            StandardDeviation = f.Std > 0 && float.IsFinite(f.Std) ? f.Std : throw new ContractException($"{field}.std", "must be above 0"),
        });
    }

    private static Dictionary<long, int> Vocabulary(SchemaJson.FeatureJson f, string field)
    {
        if (f.Vocabulary is not { Count: > 0 })
            throw new ContractException($"{field}.vocabulary", "must list the ids");
        var rows = new Dictionary<long, int>();
        foreach (var id in f.Vocabulary)
        {
            if (!rows.TryAdd(id, rows.Count + 1))
                throw new ContractException($"{field}.vocabulary", $"lists {id} twice");
        }
        return rows;
    }

    private int Table(SchemaJson.FeatureJson f, string name, int vocabularyCount, string field)
    {
        var table = f.Table is null ? name : Identifier.Require(f.Table, $"{field}.table");
        var width = Range(f.Dim, 1, MaxWidth, $"{field}.dim");
        var rows = vocabularyCount > 0 ? vocabularyCount + 1 : Range(f.Buckets, 1, MaxBuckets, $"{field}.buckets");
        var index = Tables.FindIndex(t => t.Name == table);
        if (index < 0)
        {
            Tables.Add(new(table, rows, width));
            return Tables.Count - 1;
        }
        if (Tables[index].Rows != rows || Tables[index].Width != width)
        {
            throw new ContractException($"{field}.table",
                $"'{table}' has {Tables[index].Rows} buckets of {Tables[index].Width}; '{name}' asks for {rows} of {width}");
        }
        return index;
    }

    private static int Range(int? value, int low, int high, string field) =>
        value is { } v && v >= low && v <= high
            ? v
            : throw new ContractException(field, $"must be a whole number from {low} to {high}");
}
