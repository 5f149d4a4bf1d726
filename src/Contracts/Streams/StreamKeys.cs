using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>Every Redis key of a model.</summary>
public sealed class StreamKeys
{
    /// <summary>More shards than this buy nothing: one Distiller reads them all.</summary>
    public const int MaxShards = 64;

    private readonly string model;

    public StreamKeys(string model)
    {
        Identifier.Require(model, "model");
        this.model = model;
        Logits = $"kd:{model}:logits";
        Labels = $"kd:{model}:labels";
        Versions = $"kd:{model}:versions";
        Swaps = $"kd:{model}:swaps";
        DeadLetters = $"kd:{model}:dead";
        Owner = $"kd:{model}:owner";
        Items = $"kd:{model}:items";
        DeadItems = $"kd:{model}:items_dead";
        Epoch = $"kd:{model}:epoch";
        Journal = $"kd:{model}:journal";
        Fidelity = $"kd:{model}:fidelity";
    }

    /// <summary>Stream of teacher records; each entry is <see cref="LogitEntry"/>.</summary>
    public RedisKey Logits { get; }

    /// <summary>Stream of labels that arrive after their record; each entry is a <see cref="LabelRecord"/>.</summary>
    public RedisKey Labels { get; }

    /// <summary>Stream of published versions: fields <c>version</c>, <c>epoch</c>.</summary>
    public RedisKey Versions { get; }

    /// <summary>Stream of what servers did with them: fields <c>version</c>, <c>server</c>.</summary>
    public RedisKey Swaps { get; }

    /// <summary>Stream of entries that could not be read: fields <c>id</c>, <c>reason</c>, <c>r</c> (the bytes), <c>stream</c>.</summary>
    public RedisKey DeadLetters { get; }

    /// <summary>The lease of the Distiller that owns the model: who it is.</summary>
    public RedisKey Owner { get; }

    /// <summary>Stream of items put into and removed from the catalogs of the model's servers; each entry is <see cref="ItemEntry"/>.</summary>
    public RedisKey Items { get; }

    /// <summary>Stream of item batches that could not be applied: fields <c>id</c>, <c>reason</c>, <c>r</c> (the bytes).</summary>
    public RedisKey DeadItems { get; }

    /// <summary>The fencing epoch: rises by one whenever the model changes its owner.</summary>
    public RedisKey Epoch { get; }

    /// <summary>What the owner decided, before it took effect: which entries are a batch, what becomes a version.</summary>
    public RedisKey Journal { get; }

    /// <summary>The streams of teacher records: <see cref="Logits"/> itself for one shard, else <c>logits:0</c>, <c>logits:1</c>, …</summary>
    public IReadOnlyList<RedisKey> LogitShards(int shards)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(shards, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(shards, MaxShards);
        return shards == 1 ? [Logits] : [.. Enumerable.Range(0, shards).Select(k => (RedisKey)$"kd:{model}:logits:{k}")];
    }

    /// <summary>Hash: version → overlap@10 of its order with the teacher's, on the latest records.</summary>
    public RedisKey Fidelity { get; }
}
