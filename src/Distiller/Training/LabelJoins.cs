using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Distiller.Training;

/// <summary>A label that found its record.</summary>
/// <param name="Record">The record with the new labels alone and without soft labels: those were learned when it came.</param>
/// <param name="Scores">Null when the record has just come, and was not scored yet.</param>
public sealed record LabelJoin(TeacherRecord Record, SessionScores? Scores);

/// <summary>Joins labels to the records they belong to, by request id, within a window of event time. Part of the checkpoint; one thread.</summary>
/// <remarks>
/// The soft labels of a record are learned when it comes: freshness does not wait for labels. The labels are learned when they
/// come, by a second step on the same features. So each term of the loss is applied once. The clock is the newest event time of
/// the records.
/// </remarks>
public sealed class LabelJoins(LabelsConfig config, IReadOnlyList<string> targets)
{
    private const int StateFormat = 2;
    // Without the teacher's name and version.
    private const int OlderFormat = 1;

    private readonly long windowMs = (long)(config.WindowSeconds * 1000);
    private readonly Dictionary<string, (TeacherRecord Record, SessionScores? Scores)> open = new(StringComparer.Ordinal);
    // True: its labels are known; false: it was given up.
    private readonly Dictionary<string, bool> closed = new(StringComparer.Ordinal);
    private readonly Dictionary<string, LabelRecord> early = new(StringComparer.Ordinal);
    // Request ids in order of arrival, of each table: what leaves it.
    private readonly Queue<(string Id, long EventTimeMs)> openOrder = new();
    private readonly Queue<(string Id, long EventTimeMs)> closedOrder = new();
    private readonly Queue<(string Id, long EventTimeMs)> earlyOrder = new();
    private LabelCounters counters = new();
    private long clockMs;

    public LabelCounters Counters => counters with { Open = open.Count };

    /// <summary>Notes a record that has come; returns it with the labels that came before it.</summary>
    public TeacherRecord Observe(TeacherRecord record)
    {
        clockMs = Math.Max(clockMs, record.EventTimeMs);
        Expire();
        var id = record.RequestId;
        if (early.Remove(id, out var waiting))
        {
            var fresh = Fresh(record, waiting);
            if (fresh.Count > 0)
            {
                record = record.Clone();
                Merge(record, fresh);
                counters = counters with { Joined = counters.Joined + 1 };
            }
        }
        if (targets.All(t => IsKnown(record, t)))
            Close(id, record.EventTimeMs, isKnown: true);
        else if (open.TryAdd(id, (WithoutOutputs(record, record.Labels), null)))
            openOrder.Enqueue((id, record.EventTimeMs));
        return record;
    }

    /// <summary>Keeps what was said of a record that waits for labels.</summary>
    public void Remember(string requestId, SessionScores scores)
    {
        if (open.TryGetValue(requestId, out var waiting))
            open[requestId] = waiting with { Scores = scores };
    }

    /// <summary>True while a record waits for labels.</summary>
    public bool IsOpen(string requestId) => open.ContainsKey(requestId);

    /// <summary>Notes labels that have come; null when they are not to be learned now.</summary>
    public LabelJoin? Join(LabelRecord labels)
    {
        var id = labels.RequestId;
        if (!open.TryGetValue(id, out var waiting))
        {
            NoteUnjoined(labels);
            return null;
        }
        var record = waiting.Record;
        if (labels.EventTimeMs > record.EventTimeMs + windowMs)
        {
            counters = counters with { Late = counters.Late + 1 };
            return null;
        }
        var fresh = Fresh(record, labels);
        if (fresh.Count == 0)
            return null;
        counters = counters with { Joined = counters.Joined + 1 };
        // A checkpoint in the making may hold the record: it is replaced, not changed.
        var whole = WithoutOutputs(record, [.. record.Labels, .. fresh]);
        if (targets.All(t => IsKnown(whole, t)))
        {
            open.Remove(id);
            Close(id, record.EventTimeMs, isKnown: true);
        }
        else
        {
            open[id] = waiting with { Record = whole };
        }
        return new(WithoutOutputs(record, fresh), waiting.Scores);
    }

    /// <summary>A record with these labels too.</summary>
    public static TeacherRecord With(TeacherRecord record, IEnumerable<TargetLabels> labels)
    {
        var merged = record.Clone();
        Merge(merged, labels);
        return merged;
    }

    /// <summary>Everything needed to go on after a restart, to be written on another thread.</summary>
    public Action<Stream> Save()
    {
        var (waiting, known, before, state, clock) = (open.ToArray(), closed.ToArray(), early.Values.ToArray(), counters, clockMs);
        var orders = ((string, long)[][])[[.. openOrder], [.. closedOrder], [.. earlyOrder]];
        return stream =>
        {
            using var writer = new BinaryWriter(stream, System.Text.Encoding.UTF8, leaveOpen: true);
            writer.Write(StateFormat);
            writer.Write(clock);
            foreach (var number in (long[])[state.Joined, state.Late, state.Duplicate, state.Unmatched, state.Mismatched, state.Expired])
                writer.Write(number);
            writer.Write(waiting.Length);
            foreach (var (_, (record, scores)) in waiting)
            {
                Write(writer, record.ToByteArray());
                writer.Write(scores?.TeacherName ?? "");
                writer.Write(scores?.TeacherVersion ?? 0);
                foreach (var column in (float[]?[])[scores?.Teacher, scores?.Student, scores?.StudentLatest, scores?.StudentLabelsOnly, scores?.StudentFrozen])
                    Write(writer, column);
            }
            writer.Write(known.Length);
            foreach (var (id, isKnown) in known)
            {
                writer.Write(id);
                writer.Write(isKnown);
            }
            writer.Write(before.Length);
            foreach (var labels in before)
                Write(writer, labels.ToByteArray());
            foreach (var order in orders)
            {
                writer.Write(order.Length);
                foreach (var (id, eventTimeMs) in order)
                {
                    writer.Write(id);
                    writer.Write(eventTimeMs);
                }
            }
        };
    }

    /// <exception cref="InvalidDataException">Not written by <see cref="Save"/>.</exception>
    public void Restore(Stream stream)
    {
        try
        {
            using var reader = new BinaryReader(stream, System.Text.Encoding.UTF8, leaveOpen: true);
            var format = reader.ReadInt32();
            if (format is not (StateFormat or OlderFormat))
                throw new InvalidDataException("the open label joins are of another release");
            clockMs = reader.ReadInt64();
            counters = new()
            {
                Joined = reader.ReadInt64(),
                Late = reader.ReadInt64(),
                Duplicate = reader.ReadInt64(),
                Unmatched = reader.ReadInt64(),
                Mismatched = reader.ReadInt64(),
                Expired = reader.ReadInt64(),
            };
            for (var n = reader.ReadInt32(); n > 0; n--)
            {
                var record = TeacherRecord.Parser.ParseFrom(reader.ReadBytes(reader.ReadInt32()));
                var (teacher, version) = format == OlderFormat ? ("", 0) : (reader.ReadString(), reader.ReadInt64());
                var columns = Enumerable.Range(0, 5).Select(_ => ReadFloats(reader)).ToArray();
                open[record.RequestId] = (record, columns.All(c => c is null) ? null
                    : new(teacher.Length == 0 ? null : teacher, version, columns[0], columns[1], columns[2], columns[3], columns[4]));
            }
            for (var n = reader.ReadInt32(); n > 0; n--)
                closed[reader.ReadString()] = reader.ReadBoolean();
            for (var n = reader.ReadInt32(); n > 0; n--)
            {
                var labels = LabelRecord.Parser.ParseFrom(reader.ReadBytes(reader.ReadInt32()));
                early[labels.RequestId] = labels;
            }
            foreach (var order in (Queue<(string, long)>[])[openOrder, closedOrder, earlyOrder])
            {
                for (var n = reader.ReadInt32(); n > 0; n--)
                    order.Enqueue((reader.ReadString(), reader.ReadInt64()));
            }
        }
        catch (Exception e) when (e is EndOfStreamException or InvalidProtocolBufferException)
        {
            throw new InvalidDataException("the open label joins are damaged", e);
        }
    }

    private void NoteUnjoined(LabelRecord labels)
    {
        if (closed.TryGetValue(labels.RequestId, out var isKnown))
        {
            counters = isKnown ? counters with { Duplicate = counters.Duplicate + 1 } : counters with { Late = counters.Late + 1 };
        }
        else if (early.TryAdd(labels.RequestId, labels))
        {
            // The two streams do not wait for each other: its record may be on its way.
            earlyOrder.Enqueue((labels.RequestId, Math.Max(clockMs, labels.EventTimeMs)));
        }
        else
        {
            counters = counters with { Duplicate = counters.Duplicate + 1 };
        }
    }

    // The labels that are news to a record; counts what is not.
    private List<TargetLabels> Fresh(TeacherRecord record, LabelRecord labels)
    {
        if (labels.Labels.Any(l => l.States.Length != record.CandidateCount))
        {
            counters = counters with { Mismatched = counters.Mismatched + 1 };
            return [];
        }
        var fresh = labels.Labels.Where(l => !IsKnown(record, l.Target)).ToList();
        if (fresh.Count == 0)
            counters = counters with { Duplicate = counters.Duplicate + 1 };
        return fresh;
    }

    private void Expire()
    {
        while (openOrder.TryPeek(out var oldest) && (oldest.EventTimeMs + windowMs < clockMs || open.Count > config.MaxOpen))
        {
            openOrder.Dequeue();
            if (!open.Remove(oldest.Id))
                continue;
            counters = counters with { Expired = counters.Expired + 1 };
            Close(oldest.Id, oldest.EventTimeMs, isKnown: false);
        }
        // A second window long, a label that comes is told from one that never had a record.
        while (closedOrder.TryPeek(out var oldest) && oldest.EventTimeMs + 2 * windowMs < clockMs)
            closed.Remove(closedOrder.Dequeue().Id);
        while (earlyOrder.TryPeek(out var oldest) && oldest.EventTimeMs + windowMs < clockMs)
        {
            earlyOrder.Dequeue();
            if (early.Remove(oldest.Id))
                counters = counters with { Unmatched = counters.Unmatched + 1 };
        }
    }

    private void Close(string id, long eventTimeMs, bool isKnown)
    {
        if (closed.TryAdd(id, isKnown))
            closedOrder.Enqueue((id, eventTimeMs));
    }

    private static bool IsKnown(TeacherRecord record, string target) =>
        record.Labels.Any(l => l.Target == target && l.States.Span.ContainsAnyExcept((byte)LabelState.Unknown));

    private static void Merge(TeacherRecord record, IEnumerable<TargetLabels> labels)
    {
        foreach (var fresh in labels.ToList())
        {
            if (record.Labels.FirstOrDefault(l => l.Target == fresh.Target) is { } blank)
                record.Labels.Remove(blank);
            record.Labels.Add(fresh);
        }
    }

    private static TeacherRecord WithoutOutputs(TeacherRecord record, IEnumerable<TargetLabels> labels)
    {
        var bare = new TeacherRecord
        {
            RequestId = record.RequestId,
            EventTimeMs = record.EventTimeMs,
            ProducerId = record.ProducerId,
            Sequence = record.Sequence,
            SchemaFingerprint = record.SchemaFingerprint,
            CandidateCount = record.CandidateCount,
            User = { record.User },
            Item = { record.Item },
            Privileged = { record.Privileged },
            Origin = record.Origin,
            SamplingLogQ = { record.SamplingLogQ },
        };
        bare.Labels.AddRange(labels.Where(l => l.States.Span.ContainsAnyExcept((byte)LabelState.Unknown)));
        return bare;
    }

    private static void Write(BinaryWriter writer, byte[] bytes)
    {
        writer.Write(bytes.Length);
        writer.Write(bytes);
    }

    private static void Write(BinaryWriter writer, float[]? column)
    {
        writer.Write(column?.Length ?? -1);
        foreach (var value in column ?? [])
            writer.Write(value);
    }

    private static float[]? ReadFloats(BinaryReader reader)
    {
        var count = reader.ReadInt32();
        if (count < 0)
            return null;
        var column = new float[count];
        for (var i = 0; i < count; i++)
            column[i] = reader.ReadSingle();
        return column;
    }
}
