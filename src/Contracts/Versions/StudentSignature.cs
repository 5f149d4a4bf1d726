namespace KdServing.Contracts;

/// <summary>Shapes of a version's dense graphs. The names are the contract between exporter and server.</summary>
/// <remarks>
/// <code>
/// user_encoder.onnx  user [U, UserWidth]                                        → user_part [U, UserPartWidth]
/// item_encoder.onnx  item [N, ItemWidth]                                        → item_vector [N, ItemVectorWidth]
/// head.onnx          user_part [U, ·], row_of [N] int64, item_vector [N, ·],
///                    live [N, LiveWidth] (absent when LiveWidth is 0)           → logits [N, T], scores [N, T]
/// </code>
/// All floats are float32. <c>row_of[n]</c> is the user row of candidate n, so that several requests can share a run.
/// <c>ranker.onnx</c> (bases only) is the whole model for any ONNX runtime: inputs are, per categorical feature,
/// <c>rows/NAME</c> int64 [U or N], per sequence <c>rows/NAME</c> int64 [U or N, MaxLength] padded with -1, per numeric feature
/// <c>value/NAME</c> float32 (already normalised), and <c>row_of</c>.
/// </remarks>
public sealed record StudentSignature(
    string Family,
    int UserWidth,
    int ItemWidth,
    int LiveWidth,
    int UserPartWidth,
    int ItemVectorWidth,
    IReadOnlyList<string> Targets)
{
    public const string UserEncoderFile = "user_encoder.onnx";
    public const string ItemEncoderFile = "item_encoder.onnx";
    public const string HeadFile = "head.onnx";
    public const string RankerFile = "ranker.onnx";
    public const string RowsFile = "rows.bin";
    public const string SchemaFile = "schema.json";
    public const string GoldenFile = "golden.pb";

    public const string User = "user";
    public const string UserPart = "user_part";
    public const string Item = "item";
    public const string ItemVector = "item_vector";
    public const string RowOf = "row_of";
    public const string Live = "live";
    public const string Logits = "logits";
    public const string Scores = "scores";

    /// <exception cref="ContractException">The signature does not belong to the schema.</exception>
    public void Require(FeatureSchema schema)
    {
        if (UserWidth != schema.User.Width || ItemWidth != schema.Item.Width || LiveWidth != schema.Live.Width)
        {
            throw new ContractException("manifest.signature",
                $"is for widths user {UserWidth}, item {ItemWidth}, live {LiveWidth}; the schema has {schema.User.Width}, {schema.Item.Width}, {schema.Live.Width}");
        }
        if (!Targets.SequenceEqual(schema.Targets))
            throw new ContractException("manifest.signature.targets", "differ from the schema's");
        if (UserPartWidth <= 0 || ItemVectorWidth <= 0)
            throw new ContractException("manifest.signature", "has a width that is not positive");
    }
}
