namespace KdServing.Contracts;

/// <summary>What makes an <see cref="ItemBatch"/> acceptable; the same check before it is written and after it is read.</summary>
public static class ItemBatchValidation
{
    /// <summary>Items a batch may put, and as many it may remove: a catalog applies a batch as one step.</summary>
    public const int MaxItems = 10_000;

    /// <exception cref="ContractException">Names the field and the reason.</exception>
    public static void Require(ItemBatch batch, FeatureSchema schema)
    {
        if (batch.SchemaFingerprint != 0 && batch.SchemaFingerprint != schema.Fingerprint)
        {
            throw new ContractException("schema_fingerprint",
                $"{batch.SchemaFingerprint:x16} is not that of schema '{schema.Name}' ({schema.Fingerprint:x16}); use the schema.json the model was trained with");
        }
        if (batch.Put.Count == 0 && batch.Remove.Count == 0)
            throw new ContractException("put", "and remove are both empty; a batch must change something");
        if (batch.Put.Count > MaxItems)
            throw new ContractException("put", $"names {batch.Put.Count} items; at most {MaxItems} a batch");
        if (batch.Remove.Count > MaxItems)
            throw new ContractException("remove", $"names {batch.Remove.Count} items; at most {MaxItems} a batch");
        if (batch.Put.Count == 0)
        {
            if (batch.Features.Count > 0)
                throw new ContractException("features", "are given, but no item is put");
            return;
        }
        var found = new Column[schema.Item.Features.Count];
        ColumnReader.Match(batch.Features, "features", batch.Put.Count, [schema.Item], found);
        var numbers = new float[batch.Put.Count];
        for (var k = 0; k < found.Length; k++)
        {
            var feature = schema.Item.Features[k];
            if (feature.Kind == FeatureKind.Numeric)
                RequireNumbers(feature, found[k], numbers);
        }
    }

    private static void RequireNumbers(Feature feature, Column column, Span<float> numbers)
    {
        ColumnReader.ReadRaw(column, numbers);
        for (var r = 0; r < numbers.Length; r++)
        {
            if (!float.IsFinite(numbers[r]))
                throw new ContractException($"features.{feature.Name}", $"value {numbers[r]} of row {r} is not finite");
            if (!(MathF.Abs(feature.Normalise(numbers[r])) <= TeacherRecordValidation.MaxMagnitude))
                throw new ContractException($"features.{feature.Name}", $"value {numbers[r]} of row {r} is too large (at most {TeacherRecordValidation.MaxMagnitude:0} when normalised)");
        }
    }
}
