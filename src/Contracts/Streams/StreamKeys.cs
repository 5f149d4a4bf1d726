using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>Every Redis key of a model.</summary>
public sealed class StreamKeys
{
    public StreamKeys(string model)
    {
        Identifier.Require(model, "model");
        Logits = $"kd:{model}:logits";
        Labels = $"kd:{model}:labels";
        Versions = $"kd:{model}:versions";
        Swaps = $"kd:{model}:swaps";
        DeadLetters = $"kd:{model}:dead";
        Owner = $"kd:{model}:owner";
        Items = $"kd:{model}:items";
        DeadItems = $"kd:{model}:items_dead";
    }

    /// <summary>Stream of teacher records; each entry is <see cref="LogitEntry"/>.</summary>
    public RedisKey Logits { get; }

    /// <summary>Stream of labels that arrive after their record.</summary>
    public RedisKey Labels { get; }

    /// <summary>Stream of published versions: field <c>version</c>.</summary>
    public RedisKey Versions { get; }

    /// <summary>Stream of what servers did with them: fields <c>version</c>, <c>server</c>.</summary>
    public RedisKey Swaps { get; }

    /// <summary>Stream of entries that could not be read: fields <c>id</c>, <c>reason</c>, <c>r</c> (the bytes).</summary>
    public RedisKey DeadLetters { get; }

    /// <summary>The Distiller that owns the model, with its fencing epoch.</summary>
    public RedisKey Owner { get; }

    /// <summary>Stream of items put into and removed from the catalogs of the model's servers; each entry is <see cref="ItemEntry"/>.</summary>
    public RedisKey Items { get; }

    /// <summary>Stream of item batches that could not be applied: fields <c>id</c>, <c>reason</c>, <c>r</c> (the bytes).</summary>
    public RedisKey DeadItems { get; }
}
