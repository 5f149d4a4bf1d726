using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>How one version does: what requests got from it, how fresh it is, how near to the teacher. Any thread.</summary>
public sealed class VersionHealth(VersionManifest manifest)
{
    private long answered;
    private long failed;
    private long firstReplyMs;
    private double fidelity = double.NaN;
    private double ageSeconds = double.NaN;

    /// <summary>Requests it scored.</summary>
    public long Answered => Volatile.Read(ref answered);

    /// <summary>Valid requests it could not score and another version could.</summary>
    public long Failed => Volatile.Read(ref failed);

    /// <summary>When it answered its first request, milliseconds since the Unix epoch; null before.</summary>
    public long? FirstReplyMs => Volatile.Read(ref firstReplyMs) is > 0 and var ms ? ms : null;

    /// <summary>How well its order meets the teacher's, as overlap@10 on the latest records; null: nobody has said.</summary>
    public double? Fidelity
    {
        get => Volatile.Read(ref fidelity) is var value && double.IsNaN(value) ? null : value;
        set => Volatile.Write(ref fidelity, value ?? double.NaN);
    }

    /// <summary>Write time of the newest teacher record it has learned from (the milliseconds of its stream id); 0: none.</summary>
    public long LearnedUntilMs { get; } = manifest.Position.Values.Select(StreamId.Parse).Select(id => id.Ms).DefaultIfEmpty(0).Max();

    /// <summary>From that record's write until this version's first reply, milliseconds; null before the first reply.</summary>
    public double? LogitToServedMs => LearnedUntilMs > 0 && FirstReplyMs is { } first ? first - LearnedUntilMs : null;

    /// <summary>Event time of the newest teacher record in the stream minus the version's watermark, in seconds: its age on the clock the records tell. Null: not known.</summary>
    public double? AgeSeconds
    {
        get => Volatile.Read(ref ageSeconds) is var value && double.IsNaN(value) ? null : value;
        set => Volatile.Write(ref ageSeconds, value ?? double.NaN);
    }

    /// <summary>Forgets what it has answered so far: to nobody.</summary>
    internal void Restart()
    {
        Volatile.Write(ref answered, 0);
        Volatile.Write(ref failed, 0);
        Volatile.Write(ref firstReplyMs, 0);
    }

    public void CountAnswer()
    {
        Interlocked.Increment(ref answered);
        if (Volatile.Read(ref firstReplyMs) == 0)
            Interlocked.CompareExchange(ref firstReplyMs, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), 0);
    }

    /// <returns>Failures so far.</returns>
    public long CountFailure() => Interlocked.Increment(ref failed);
}
