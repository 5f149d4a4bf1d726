namespace KdServing.Contracts;

/// <summary>Whom a feature describes, hence how many rows it has and who may use it.</summary>
public enum FeatureSide
{
    /// <summary>The user: one row a request.</summary>
    User,

    /// <summary>The request's surroundings (device, hour): one row a request.</summary>
    Context,

    /// <summary>A candidate: N rows.</summary>
    Item,

    /// <summary>The pair of user and candidate: N rows, head only.</summary>
    Cross,

    /// <summary>Known to the teacher only: in the logit stream, never in a ranking request.</summary>
    Privileged,
}

public enum FeatureKind
{
    /// <summary>Any id; its row is <see cref="FeatureHash"/> modulo the bucket count.</summary>
    Hash,

    /// <summary>A listed id; its row is its place in the list plus one. Row 0 is for everything else.</summary>
    Vocabulary,

    /// <summary>One float, transformed and standardised.</summary>
    Numeric,

    /// <summary>A list of hashed ids; the mean of their rows, zero when empty.</summary>
    Sequence,
}

public enum Volatility
{
    /// <summary>Fixed for an item: may enter the item encoder, so its vector can be computed once a version.</summary>
    Static,

    /// <summary>Changes between requests: enters the head only.</summary>
    Live,
}

public enum NumericTransform
{
    None,

    /// <summary>sign(x)·log(1+|x|).</summary>
    Log1p,
}

/// <summary>One feature of <c>schema.json</c>, validated; made by <see cref="FeatureSchema"/>.</summary>
public sealed class Feature
{
    public required string Name { get; init; }

    public required FeatureSide Side { get; init; }

    public required FeatureKind Kind { get; init; }

    public required Volatility Volatility { get; init; }

    /// <summary>Floats it takes in its group's vector: the embedding width, or 1 when numeric.</summary>
    public required int Width { get; init; }

    /// <summary>Where it begins in its group's vector.</summary>
    public required int Offset { get; init; }

    /// <summary>Index into <see cref="FeatureSchema.Tables"/>; -1 when numeric.</summary>
    public required int Table { get; init; }

    /// <summary>Rows of its table.</summary>
    public required int Buckets { get; init; }

    /// <summary>Seeds the hash; equal for features that share a table.</summary>
    public required ulong HashSeed { get; init; }

    /// <summary>Kind <see cref="FeatureKind.Vocabulary"/>: id → row. Empty otherwise.</summary>
    public required IReadOnlyDictionary<long, int> Vocabulary { get; init; }

    /// <summary>Kind <see cref="FeatureKind.Sequence"/>: ids used at most, the first ones. 0 otherwise.</summary>
    public required int MaxLength { get; init; }

    public required NumericTransform Transform { get; init; }

    public required float Mean { get; init; }

    public required float StandardDeviation { get; init; }

    /// <summary>The table row of a raw id.</summary>
    public int Row(long id) => Kind == FeatureKind.Vocabulary
        ? Vocabulary.GetValueOrDefault(id)
        : FeatureHash.Row(id, HashSeed, Buckets);

    /// <summary>The value that enters the network for a raw number.</summary>
    public float Normalise(float raw)
    {
        var value = Transform == NumericTransform.Log1p ? MathF.CopySign(MathF.Log(1 + MathF.Abs(raw)), raw) : raw;
        return (value - Mean) / StandardDeviation;
    }
}
