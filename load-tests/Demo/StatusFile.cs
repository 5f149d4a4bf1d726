using System.Text.Json;
using System.Text.Json.Nodes;

namespace KdServing.LoadTests.Demo;

/// <summary>The last status a process wrote, by key; absent keys read as null. Made anew at each read.</summary>
internal sealed class StatusFile
{
    private readonly JsonObject values;

    private StatusFile(JsonObject values) => this.values = values;

    public static StatusFile Empty { get; } = new([]);

    public static StatusFile Read(string path)
    {
        try
        {
            return Parse(File.ReadAllText(path));
        }
        catch (IOException)
        {
            return Empty; // not written yet
        }
    }

    public static StatusFile Parse(string json)
    {
        try
        {
            return JsonNode.Parse(json) is JsonObject o ? new(o) : Empty;
        }
        catch (JsonException)
        {
            return Empty;
        }
    }

    /// <summary>The value at a path of keys.</summary>
    public JsonNode? this[params ReadOnlySpan<string> path]
    {
        get
        {
            JsonNode? node = values;
            foreach (var key in path)
                node = (node as JsonObject)?[key];
            return node;
        }
    }

    /// <summary>A number at a path of keys; null when absent or not finite.</summary>
    public double? Number(params ReadOnlySpan<string> path)
    {
        var node = this[path];
        return node is not null && node.GetValueKind() == JsonValueKind.Number ? node.GetValue<double>() : null;
    }

    public long Count(params ReadOnlySpan<string> path) => (long)(Number(path) ?? 0);

    public string? Text(params ReadOnlySpan<string> path)
    {
        var node = this[path];
        return node is not null && node.GetValueKind() == JsonValueKind.String ? node.GetValue<string>() : null;
    }
}
