using System.Text.Json;
using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Distiller.Training;

/// <summary><c>kd:{model}:journal</c>: the owner's decisions in order, ids <c>1-0</c>, <c>2-0</c>, …; appended under the fence. One caller.</summary>
/// <remarks>
/// An append repeated after a lost reply is recognised by its id and content. The dead letters of a batch are written by the call
/// that journals it, so each is written once, whatever is repeated or replayed.
/// </remarks>
public sealed class Journal(IDatabase redis, string model, ModelOwner owner, LogitStream stream)
{
    private const int DeadLettersKept = 100_000;
    private const int PageEntries = 1000;

    // KEYS: journal, dead letters, streams of the dead. ARGV: id, json, dead letters kept, then for each dead letter key index, id, reason.
    private const string AppendScript = """
        local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
        if #newest > 0 and newest[1][1] == ARGV[2] and newest[1][2][2] == ARGV[3] then return 'AGAIN' end
        redis.call('XADD', KEYS[2], ARGV[2], 'j', ARGV[3])
        for i = 5, #ARGV, 3 do
          local source = KEYS[tonumber(ARGV[i])]
          local found = redis.call('XRANGE', source, ARGV[i + 1], ARGV[i + 1])
          local bytes = ''
          if #found > 0 then
            local fields = found[1][2]
            for f = 1, #fields, 2 do
              if fields[f] == 'r' then bytes = fields[f + 1] end
            end
          end
          redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'id', ARGV[i + 1], 'reason', ARGV[i + 2], 'r', bytes, 'stream', source)
        end
        return 'OK'
        """;

    private const string TrimScript = """
        for i = 2, #KEYS do redis.call('XTRIM', KEYS[i], 'MINID', '~', ARGV[i]) end
        return 'OK'
        """;

    private const string AnnounceScript = "return redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'version', ARGV[3], 'epoch', ARGV[1])";
    private const int AnnouncementsKept = 10_000;

    private static readonly JsonSerializerOptions Json = new(ContractJson.Options) { WriteIndented = false, DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull };

    private readonly StreamKeys keys = new(model);

    /// <summary>Sequence of the newest entry; 0: none.</summary>
    public long Sequence { get; set; }

    /// <summary>Which history is written.</summary>
    public string Life { get; set; } = "";

    /// <summary>Appends a decision; it may take effect when this returns.</summary>
    /// <param name="dead">Entries of the batch that can not be learned from: stream, entry.</param>
    /// <exception cref="OwnershipLostException">Another Distiller has taken the model; nothing was written.</exception>
    public async Task AppendAsync(JournalEntry entry, IReadOnlyList<(RedisKey Stream, LogitStreamEntry Entry)> dead, CancellationToken stop)
    {
        List<RedisKey> more = [keys.Journal, keys.DeadLetters];
        List<RedisValue> arguments = [$"{Sequence + 1}-0", "", DeadLettersKept];
        foreach (var (source, faulty) in dead)
        {
            var index = more.IndexOf(source, 2);
            if (index < 0)
            {
                index = more.Count;
                more.Add(source);
            }
            // KEYS[1] is the fence's.
            arguments.AddRange([index + 2, faulty.Id.ToString(), faulty.Fault!.Message]);
        }
        await stream.InsistAsync(async () =>
        {
            // The epoch of now: it changes when Redis lost its data meanwhile.
            arguments[1] = JsonSerializer.Serialize(entry with { Epoch = owner.Epoch, Life = Life }, Json);
            await owner.FencedAsync(AppendScript, more, arguments);
        }, stop);
        Sequence++;
    }

    /// <summary>The entries after one, in order, of whatever history.</summary>
    /// <exception cref="ContractException">An entry can not be read.</exception>
    public async Task<IReadOnlyList<(long Sequence, JournalEntry Entry)>> ReadAsync(long after, CancellationToken stop)
    {
        var entries = new List<(long, JournalEntry)>();
        var from = after;
        while (true)
        {
            RedisResult[] page = [];
            await stream.InsistAsync(async () =>
                page = (RedisResult[])(await redis.ExecuteAsync("XRANGE", keys.Journal, $"({from}-0", "+", "COUNT", PageEntries))!, stop);
            foreach (var raw in page)
            {
                var entry = (RedisResult[])raw!;
                from = StreamId.Parse((string)entry[0]!).Ms;
                entries.Add((from, Parse((byte[])((RedisResult[])entry[1]!)[1]!, from)));
            }
            if (page.Length < PageEntries)
                return entries;
        }
    }

    /// <summary>Sequence of the newest entry of whatever history; 0: none.</summary>
    public async Task<long> NewestAsync(CancellationToken stop)
    {
        RedisResult[] newest = [];
        await stream.InsistAsync(async () => newest = (RedisResult[])(await redis.ExecuteAsync("XREVRANGE", keys.Journal, "+", "-", "COUNT", 1))!, stop);
        return newest.Length == 0 ? 0 : StreamId.Parse((string)((RedisResult[])newest[0]!)[0]!).Ms;
    }

    /// <summary>Frees what a durable checkpoint covers: entries of the streams at or before its positions, and of the journal before its place in it.</summary>
    public Task TrimAsync(IReadOnlyDictionary<string, StreamId> positions, long sequence) => owner.FencedAsync(TrimScript,
        [keys.Journal, .. positions.Keys.Select(k => (RedisKey)k)],
        [$"{sequence}-0", .. positions.Values.Select(p => (RedisValue)p.ToString())]);

    /// <summary>Says that a version is in the repository.</summary>
    public Task AnnounceAsync(long version) => owner.FencedAsync(AnnounceScript, [keys.Versions], [AnnouncementsKept, version]);

    private static JournalEntry Parse(byte[] json, long sequence)
    {
        try
        {
            return JsonSerializer.Deserialize<JournalEntry>(json, ContractJson.Options) ?? throw new ContractException("journal", $"entry {sequence} is empty");
        }
        catch (JsonException e)
        {
            throw new ContractException("journal", $"entry {sequence} is not valid ({e.Message}); written by another release?");
        }
    }
}
