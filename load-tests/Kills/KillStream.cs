using Google.Protobuf;
using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.LoadTests.Kills;

/// <summary>Writes the stream of a kill run twice, entry for entry: for the Distiller that is killed and for the one that is not.</summary>
/// <remarks>One entry in fifty is an earlier record again, as after a lost reply; one in a hundred can not be learned from.</remarks>
internal sealed class KillStream(IDatabase killed, IDatabase undisturbed, string model, int shards, int seed)
{
    private const int RepeatOneIn = 50;
    private const int PoisonOneIn = 100;

    private readonly IReadOnlyList<RedisKey> keys = new StreamKeys(model).LogitShards(shards);
    private readonly ulong[] sequences = new ulong[shards];
    private readonly Random random = new(seed);
    private int made;

    /// <summary>Stream entries of all kinds.</summary>
    public long Entries { get; private set; }

    /// <summary>Records that must be applied once.</summary>
    public long Records { get; private set; }

    public long Repeats { get; private set; }

    public long Poisoned { get; private set; }

    /// <summary>Writes until there are so many entries.</summary>
    public async Task FillAsync(long entries)
    {
        while (Entries < entries)
        {
            var shard = random.Next(shards);
            var poison = random.Next(PoisonOneIn) == 0;
            var record = KillRecords.Make(seed, made++, "producer", ++sequences[shard]);
            if (poison)
                record.Outputs[0].Logits[0] = float.NaN;
            await AppendAsync(shard, record);
            if (poison)
            {
                Poisoned++;
                continue;
            }
            Records++;
            if (Entries < entries && random.Next(RepeatOneIn) == 0)
            {
                await AppendAsync(shard, record);
                Repeats++;
            }
        }
    }

    private async Task AppendAsync(int shard, TeacherRecord record)
    {
        var bytes = record.ToByteArray();
        var id = (string)(await killed.ExecuteAsync("XADD", keys[shard], "*", "v", 1, "r", bytes))!;
        await undisturbed.ExecuteAsync("XADD", keys[shard], id, "v", 1, "r", bytes);
        Entries++;
    }
}
