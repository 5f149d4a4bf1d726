using System.Text.Json;
using System.Text.Json.Serialization;
using KdServing.Contracts;

namespace KdServing.Distiller.Losses;

/// <summary>Reads a block of distiller.json whose type depends on a name beside it: a loss' or a preset's parameters.</summary>
internal static class ConfigBlock
{
    /// <param name="json">The block; null when it is not written.</param>
    /// <param name="field">Where it stands, e.g. <c>kd[0].jrc_loss</c>.</param>
    /// <returns>The block, or the defaults.</returns>
    /// <exception cref="ContractException">Not an object, an unknown field or a value of the wrong kind; names the field and the known ones.</exception>
    public static T Read<T>(JsonElement? json, string field) where T : new()
    {
        if (json is not { ValueKind: not JsonValueKind.Undefined } block)
            return new();
        if (block.ValueKind != JsonValueKind.Object)
            throw new ContractException(field, $"is {block.GetRawText()}; must be an object with {string.Join(", ", Fields(typeof(T)))}");
        foreach (var property in block.EnumerateObject())
        {
            if (!Fields(typeof(T)).Contains(property.Name))
                throw new ContractException($"{field}.{property.Name}", $"is unknown; one of {string.Join(", ", Fields(typeof(T)))}");
        }
        try
        {
            return block.Deserialize<T>(ContractJson.Options) ?? new();
        }
        catch (JsonException e)
        {
            throw new ContractException($"{field}{e.Path?[1..]}", "has a value of the wrong kind");
        }
    }

    /// <summary>Names that a block of this type can hold.</summary>
    public static IEnumerable<string> Fields(Type type) => type.GetProperties()
        .Where(p => !p.IsDefined(typeof(JsonIgnoreAttribute), true) && !p.IsDefined(typeof(JsonExtensionDataAttribute), true))
        .Select(p => JsonNamingPolicy.SnakeCaseLower.ConvertName(p.Name));
}
