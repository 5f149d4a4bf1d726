using System.Text.Json;
using System.Text.Json.Serialization;

namespace KdServing.Contracts;

/// <summary><c>schema.json</c> as written; <see cref="FeatureSchema"/> is what it means.</summary>
internal sealed class SchemaJson
{
    public string? Name { get; init; }

    public List<string>? Targets { get; init; }

    public List<FeatureJson>? Features { get; init; }

    internal sealed class FeatureJson
    {
        public string? Name { get; init; }

        public FeatureSide? Side { get; init; }

        public FeatureKind? Kind { get; init; }

        public Volatility Volatility { get; init; }

        public string? Table { get; init; }

        public int? Buckets { get; init; }

        public int? Dim { get; init; }

        public List<long>? Vocabulary { get; init; }

        public int? MaxLength { get; init; }

        public NumericTransform Transform { get; init; }

        public float Mean { get; init; }

        public float Std { get; init; } = 1;
    }

    public static SchemaJson Parse(string json)
    {
        try
        {
            return JsonSerializer.Deserialize<SchemaJson>(json, ContractJson.Options)
                ?? throw new ContractException("schema", "is empty");
        }
        catch (JsonException e)
        {
            throw Explain(e);
        }
    }

    // The serialiser speaks of .NET types; whoever writes the file knows fields.
    private static ContractException Explain(JsonException e)
    {
        if (e.Path is not { Length: > 2 } path)
            return new("schema", $"is not valid JSON: {e.Message}");
        var field = path[2..];
        if (e.Message.Contains("could not be mapped", StringComparison.Ordinal))
            return new(field, "is unknown; remove it or correct its name");
        var expected = field[(field.LastIndexOf('.') + 1)..] switch
        {
            "side" => Names<FeatureSide>(),
            "kind" => Names<FeatureKind>(),
            "volatility" => Names<Volatility>(),
            "transform" => Names<NumericTransform>(),
            _ => null,
        };
        return new(field, expected is null ? "is of the wrong type" : $"must be one of {expected}");
    }

    private static string Names<T>() where T : struct, Enum =>
        string.Join(", ", Enum.GetNames<T>().Select(JsonNamingPolicy.SnakeCaseLower.ConvertName));
}

/// <summary>How every JSON file of the project is spelled: snake_case, enums by name, unknown fields refused.</summary>
public static class ContractJson
{
    public static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        WriteIndented = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower, allowIntegerValues: false) },
    };
}
