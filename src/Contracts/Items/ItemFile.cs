using System.Text.Json;

namespace KdServing.Contracts;

/// <summary>Part of a bulk file: a valid batch, or the reason why a line or message is left out.</summary>
/// <param name="Place">Line number (JSON lines) or message number (protobuf), from 1; of a batch its last.</param>
public readonly record struct ItemFileEntry(long Place, ItemBatch? Batch, ContractException? Fault);

/// <summary>A bulk file of items.</summary>
/// <remarks>
/// <c>*.jsonl</c>: an item a line, <c>{"id": 7, "features": {"article": 7, "words": 120.5, "tags": [1, 2]}}</c> with every static
/// item feature of the schema (a hash or vocabulary feature may be a string), or <c>{"id": 7, "remove": true}</c>; empty lines are
/// skipped. Any other name: <see cref="ItemBatch"/> messages, each after its length as a varint (protobuf's delimited form).
/// </remarks>
public static class ItemFile
{
    /// <summary>Items a batch made of lines holds: about the size at which a stream entry's overhead no longer matters.</summary>
    private const int BatchItems = 1000;

    public const string JsonExtension = ".jsonl";

    /// <summary>Reads the file from its beginning, faults among the batches where they are.</summary>
    /// <exception cref="IOException">The file can not be read.</exception>
    public static IEnumerable<ItemFileEntry> Read(string path, FeatureSchema schema) =>
        path.EndsWith(JsonExtension, StringComparison.OrdinalIgnoreCase) ? Parse(File.ReadLines(path), schema) : ReadMessages(path, schema);

    /// <summary>Reads JSON lines, an item each.</summary>
    public static IEnumerable<ItemFileEntry> Parse(IEnumerable<string> lines, FeatureSchema schema)
    {
        var places = schema.Item.Features.Select((f, k) => (f.Name, k)).ToDictionary(p => p.Name, p => p.k);
        var builder = new ItemBatchBuilder(schema);
        var values = new ItemValue[places.Count];
        var number = 0L;
        foreach (var line in lines)
        {
            number++;
            if (string.IsNullOrWhiteSpace(line))
                continue;
            ContractException? fault = null;
            long id = 0;
            var removes = false;
            try
            {
                (id, removes) = ReadLine(line, schema, places, values);
            }
            catch (ContractException e)
            {
                fault = e;
            }
            if (fault is not null)
            {
                yield return new(number, null, fault);
                continue;
            }
            if (builder.Count == BatchItems || (!removes && builder.HasRemovals))
                yield return Checked(number - 1, builder.Take(), schema);
            if (removes)
                builder.Remove(id);
            else
                builder.Put(id, values);
        }
        if (builder.Count > 0)
            yield return Checked(number, builder.Take(), schema);
    }

    private static IEnumerable<ItemFileEntry> ReadMessages(string path, FeatureSchema schema)
    {
        using var stream = File.OpenRead(path);
        for (var number = 1L; stream.Position < stream.Length; number++)
        {
            ItemBatch? batch = null;
            ContractException? fault = null;
            try
            {
                batch = ItemBatch.Parser.ParseDelimitedFrom(stream);
            }
            catch (Exception e) when (UntrustedMessage.IsMalformed(e))
            {
                fault = new($"message {number}", $"is not an ItemBatch, or is cut short ({e.Message}); what follows it is not read");
            }
            if (fault is not null)
            {
                yield return new(number, null, fault);
                yield break;
            }
            yield return Checked(number, batch!, schema);
        }
    }

    private static ItemFileEntry Checked(long place, ItemBatch batch, FeatureSchema schema)
    {
        try
        {
            ItemBatchValidation.Require(batch, schema);
            return new(place, batch, null);
        }
        catch (ContractException e)
        {
            return new(place, null, e);
        }
    }

    private static (long Id, bool Removes) ReadLine(string line, FeatureSchema schema, Dictionary<string, int> places, ItemValue[] values)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(line);
        }
        catch (JsonException e)
        {
            throw new ContractException("line", $"is not JSON: {e.Message}");
        }
        using (document)
        {
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("id", out var idValue) || !TryInt64(idValue, out var id))
                throw new ContractException("id", "is missing or is not a 64-bit integer");
            var removes = root.TryGetProperty("remove", out var remove) && remove.ValueKind == JsonValueKind.True;
            if (removes)
                return (id, true);
            if (!root.TryGetProperty("features", out var features) || features.ValueKind != JsonValueKind.Object)
                throw new ContractException("features", $"of item {id} are missing; or is it \"remove\": true?");
            var given = new HashSet<int>();
            foreach (var property in features.EnumerateObject())
            {
                if (!places.TryGetValue(property.Name, out var k))
                    throw new ContractException("features", $"item {id}: unknown feature '{property.Name}'; expected: {string.Join(", ", places.Keys)}");
                values[k] = Value(schema.Item.Features[k], property.Value, id);
                given.Add(k);
            }
            if (given.Count != places.Count)
                throw new ContractException("features", $"item {id} has {given.Count} features; every one of {string.Join(", ", places.Keys)} must be given once");
            return (id, false);
        }
    }

    private static ItemValue Value(Feature feature, JsonElement value, long id)
    {
        var wrong = new Lazy<ContractException>(() => new($"features.{feature.Name}", $"of item {id} must be {(feature.Kind switch
        {
            FeatureKind.Numeric => "a finite number",
            FeatureKind.Sequence => "a list of 64-bit integers",
            _ => "a 64-bit integer or a string",
        })}"));
        switch (feature.Kind)
        {
            case FeatureKind.Numeric:
                if (value.ValueKind != JsonValueKind.Number || !value.TryGetSingle(out var number) || !float.IsFinite(number)
                    || !(MathF.Abs(feature.Normalise(number)) <= TeacherRecordValidation.MaxMagnitude))
                    throw wrong.Value;
                return new(Number: number);
            case FeatureKind.Sequence:
                if (value.ValueKind != JsonValueKind.Array)
                    throw wrong.Value;
                return new(Ids: [.. value.EnumerateArray().Select(v => TryInt64(v, out var element) ? element : throw wrong.Value)]);
            default:
                if (value.ValueKind == JsonValueKind.String)
                    return new(Id: FeatureHash.StringId(value.GetString()!));
                return TryInt64(value, out var rawId) ? new(Id: rawId) : throw wrong.Value;
        }
    }

    private static bool TryInt64(JsonElement value, out long number)
    {
        number = 0;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out number);
    }
}
