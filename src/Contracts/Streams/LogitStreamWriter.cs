using Google.Protobuf;
using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>What a teacher service uses to stream its logits. One instance a producer; calls from one thread.</summary>
/// <remarks>
/// Gives each record its producer id, sequence and schema fingerprint, validates it, and appends it. When the stream holds
/// <paramref name="maxStreamLength"/> entries the writer waits: memory stays bounded and nothing is dropped. A lost reply is
/// repeated with the same sequence, so the reader applies the record once.
/// </remarks>
/// <param name="producerId">Unique to this run of the producer: sequences begin at 1 with every writer.</param>
public sealed class LogitStreamWriter(IDatabase redis, string model, string producerId, FeatureSchema schema, long maxStreamLength = 200_000)
{
    private const int LengthCheckInterval = 256;
    private static readonly string[] PassingErrors = ["LOADING", "MISCONF", "OOM", "BUSY", "READONLY", "MASTERDOWN"];
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(250);

    private readonly RedisKey key = new StreamKeys(model).Logits;
    private ulong sequence;

    /// <summary>Records appended so far.</summary>
    public long Written { get; private set; }

    /// <summary>Times the writer waited because the stream was full.</summary>
    public long Waits { get; private set; }

    /// <summary>Times an append was repeated after an error.</summary>
    public long Retries { get; private set; }

    /// <summary>What the last repeated append failed with; null while none has.</summary>
    public string? RetryReason { get; private set; }

    /// <summary>Appends a record; returns its stream id when Redis has it. Await each call: a repeated append must not overtake the next.</summary>
    /// <exception cref="ContractException">The record breaks the schema; it has not been written.</exception>
    public async Task<StreamId> WriteAsync(TeacherRecord record, CancellationToken cancellation = default)
    {
        record.ProducerId = producerId;
        record.Sequence = sequence + 1;
        record.SchemaFingerprint = schema.Fingerprint;
        TeacherRecordValidation.Require(record, schema);
        sequence++;
        if (sequence % LengthCheckInterval == 1)
            await WaitForRoomAsync(cancellation);

        var bytes = record.ToByteArray();
        while (true)
        {
            try
            {
                var id = await redis.ExecuteAsync("XADD", key, "*", LogitEntry.FormatField, LogitEntry.Format, LogitEntry.RecordField, bytes);
                Written++;
                return StreamId.Parse((string)id!);
            }
            catch (Exception e) when (IsTransient(e))
            {
                NoteRetry(e);
                await Task.Delay(RetryDelay, cancellation);
            }
        }
    }

    private async Task WaitForRoomAsync(CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                if ((long)await redis.ExecuteAsync("XLEN", key) < maxStreamLength)
                    return;
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
