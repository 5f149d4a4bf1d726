using Google.Protobuf;
using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>What a writer does when the stream is full.</summary>
public enum FullStreamPolicy
{
    /// <summary>Wait until the Distiller has caught up: nothing is lost, the producer slows down.</summary>
    Wait,

    /// <summary>Give the record up and count it: the producer is never slowed down.</summary>
    Drop,
}

/// <summary>How a <see cref="LogitStreamWriter"/> writes.</summary>
public sealed record LogitStreamWriterOptions
{
    /// <summary>As in distiller.json: records are spread over so many streams by their request id.</summary>
    public int Shards { get; init; } = 1;

    /// <summary>Entries a shard may hold.</summary>
    public long MaxStreamLength { get; init; } = 200_000;

    /// <summary>Bytes of records a shard may hold, estimated from this writer's own records; null: entries alone count.</summary>
    public long? MaxStreamBytes { get; init; } = 1L << 30;

    public FullStreamPolicy WhenFull { get; init; }
}

/// <summary>What a teacher service uses to stream its logits. One instance a producer; calls from one thread.</summary>
/// <remarks>
/// Gives each record its producer id, sequence and schema fingerprint, validates it, and appends it. When the stream is full the
/// writer waits, or drops the record, as it was told, and counts either; memory stays bounded. A lost reply is repeated with
/// the same sequence, so the reader applies the record once.
/// </remarks>
/// <param name="producerId">Unique to this run of the producer: sequences begin at 1 with every writer.</param>
public sealed class LogitStreamWriter(IDatabase redis, string model, string producerId, FeatureSchema schema, LogitStreamWriterOptions? options = null)
{
    // Often enough that many writers overshoot the bound by little, seldom enough to cost nothing.
    private const int LengthCheckInterval = 64;
    private static readonly string[] PassingErrors = ["LOADING", "MISCONF", "OOM", "BUSY", "READONLY", "MASTERDOWN", "NOSCRIPT"];
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(250);

    private readonly LogitStreamWriterOptions options = options ?? new();
    private readonly IReadOnlyList<RedisKey> keys = new StreamKeys(model).LogitShards((options ?? new()).Shards);
    private readonly RedisKey labelsKey = new StreamKeys(model).Labels;
    private readonly ulong[] sequences = new ulong[(options ?? new()).Shards];
    private readonly bool[] full = new bool[(options ?? new()).Shards];
    private readonly int[] sinceCheck = new int[(options ?? new()).Shards];
    private ulong labelSequence;
    private double recordBytes;

    /// <summary>Records appended so far.</summary>
    public long Written { get; private set; }

    /// <summary>Label records appended so far.</summary>
    public long LabelsWritten { get; private set; }

    /// <summary>Records given up because the stream was full; see <see cref="FullStreamPolicy.Drop"/>.</summary>
    public long Dropped { get; private set; }

    /// <summary>Times the writer waited because the stream was full.</summary>
    public long Waits { get; private set; }

    /// <summary>Times an append was repeated after an error.</summary>
    public long Retries { get; private set; }

    /// <summary>What the last repeated append failed with; null while none has.</summary>
    public string? RetryReason { get; private set; }

    /// <summary>Appends a record; returns its stream id when Redis has it. Await each call: a repeated append must not overtake the next.</summary>
    /// <returns>Null when the record was dropped; that costs no sequence, so the reader sees no gap.</returns>
    /// <exception cref="ContractException">The record breaks the schema; it has not been written.</exception>
    public async Task<StreamId?> TryWriteAsync(TeacherRecord record, CancellationToken cancellation = default)
    {
        var shard = Shard(record.RequestId, keys.Count);
        record.ProducerId = producerId;
        record.Sequence = sequences[shard] + 1;
        record.SchemaFingerprint = schema.Fingerprint;
        TeacherRecordValidation.Require(record, schema);
        if (!await HasRoomAsync(shard, cancellation))
        {
            Dropped++;
            return null;
        }
        sequences[shard]++;
        var bytes = record.ToByteArray();
        recordBytes = recordBytes == 0 ? bytes.Length : 0.99 * recordBytes + 0.01 * bytes.Length;
        var id = await AppendAsync(keys[shard], bytes, record.Sequence, cancellation);
        Written++;
        return id;
    }

    /// <summary>As <see cref="TryWriteAsync"/>, for a writer that waits.</summary>
    /// <exception cref="ContractException">The record breaks the schema; it has not been written.</exception>
    /// <exception cref="InvalidOperationException">The writer drops: then a record may have no id.</exception>
    public async Task<StreamId> WriteAsync(TeacherRecord record, CancellationToken cancellation = default) =>
        await TryWriteAsync(record, cancellation) ?? throw new InvalidOperationException("the record was dropped; call TryWriteAsync with FullStreamPolicy.Drop");

    /// <summary>Appends labels that became known after their record; returns the entry's id.</summary>
    /// <exception cref="ContractException">The record breaks the schema; it has not been written.</exception>
    public async Task<StreamId> WriteLabelsAsync(LabelRecord record, CancellationToken cancellation = default)
    {
        record.ProducerId = producerId;
        record.Sequence = labelSequence + 1;
        LabelRecordValidation.Require(record, schema);
        labelSequence++;
        var id = await AppendAsync(labelsKey, record.ToByteArray(), record.Sequence, cancellation);
        LabelsWritten++;
        return id;
    }

    /// <summary>The shard a request's record belongs to.</summary>
    public static int Shard(string requestId, int shards) =>
        shards == 1 ? 0 : (int)(FeatureHash.Mix((ulong)FeatureHash.StringId(requestId) ^ 0x5348415244UL) % (ulong)shards);

    private async Task<StreamId> AppendAsync(RedisKey key, byte[] bytes, ulong sequence, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                var id = await redis.ExecuteAsync("XADD", key, "*", LogitEntry.FormatField, LogitEntry.Format, LogitEntry.RecordField, bytes,
                    LogitEntry.ProducerField, producerId, LogitEntry.SequenceField, (long)sequence);
                return StreamId.Parse((string)id!);
            }
            catch (Exception e) when (IsTransient(e))
            {
                NoteRetry(e);
                await Task.Delay(RetryDelay, cancellation);
            }
        }
    }

    private async Task<bool> HasRoomAsync(int shard, CancellationToken cancellation)
    {
        // A full stream is asked about each time, one with room now and then.
        if (!full[shard] && sinceCheck[shard]++ % LengthCheckInterval != 0)
            return true;
        while (true)
        {
            try
            {
                var length = (long)await redis.ExecuteAsync("XLEN", keys[shard]);
                full[shard] = length >= options.MaxStreamLength || length * recordBytes >= options.MaxStreamBytes;
                if (!full[shard] || options.WhenFull == FullStreamPolicy.Drop)
                    return !full[shard];
                Waits++;
            }
            catch (Exception e) when (IsTransient(e))
            {
                NoteRetry(e);
            }
            await Task.Delay(RetryDelay, cancellation);
        }
    }

    private void NoteRetry(Exception e)
    {
        Retries++;
        RetryReason = e is RedisServerException ? e.Message : e is TimeoutException ? "no answer in time" : "no connection";
    }

    /// <summary>Redis is away, or for now refuses (loading, its disk or memory full, a replica): worth another try.</summary>
    public static bool IsTransient(Exception e) =>
        e is RedisConnectionException or TimeoutException
        || (e is RedisServerException s && PassingErrors.Any(code => s.Message.StartsWith(code, StringComparison.Ordinal)));
}
