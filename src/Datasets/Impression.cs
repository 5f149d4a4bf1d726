using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Datasets;

/// <summary>One impression list: a user with N candidates at a moment, immutable, its columns in wire form.</summary>
/// <remarks>
/// Columns are shared, never copied, by the records and requests made from it: do not change them. Everything but
/// <see cref="Labels"/> and <see cref="TrueLogits"/> was known before the event.
/// </remarks>
public sealed class Impression
{
    /// <summary>Deterministic: the same row of the same data gives the same id in every run.</summary>
    public required string RequestId { get; init; }

    /// <summary>Milliseconds since the Unix epoch; never decreases within a part.</summary>
    public required long EventTimeMs { get; init; }

    public required long SessionId { get; init; }

    public required DatasetPart Part { get; init; }

    public required int CandidateCount { get; init; }

    /// <summary>User and context features, one row each.</summary>
    public required IReadOnlyList<Column> User { get; init; }

    /// <summary>Item features, N rows each; the first column is the item id.</summary>
    public required IReadOnlyList<Column> Item { get; init; }

    /// <summary>Features for the teacher only, N rows each.</summary>
    public required IReadOnlyList<Column> Privileged { get; init; }

    /// <summary>N bytes, one <see cref="CandidateOrigin"/> each.</summary>
    public required ByteString Origin { get; init; }

    /// <summary>N values: log of the probability with which a candidate was sampled; 0 when exposed.</summary>
    public required IReadOnlyList<float> SamplingLogQ { get; init; }

    /// <summary>One entry a target, N bytes each.</summary>
    public required IReadOnlyList<TargetLabels> Labels { get; init; }

    /// <summary>What teachers said, as columns of the data hold it; one entry a (teacher, target), N logits each.</summary>
    public IReadOnlyList<TeacherOutput> Outputs { get; init; } = [];

    /// <summary>Generated data only: the logit each label was drawn with.</summary>
    public float[]? TrueLogits { get; init; }

    /// <summary>Label states of a target, one <see cref="LabelState"/> a candidate.</summary>
    /// <exception cref="DatasetException">The impression has no such target.</exception>
    public ReadOnlySpan<byte> LabelStates(string target)
    {
        foreach (var labels in Labels)
        {
            if (labels.Target == target)
                return labels.States.Span;
        }

        throw new DatasetException($"Impression {RequestId} has no target '{target}'; it has {string.Join(", ", Labels.Select(l => l.Target))}.");
    }

    /// <summary>A record of this impression; the teacher adds its outputs.</summary>
    public TeacherRecord ToTeacherRecord(string producerId, ulong sequence, ulong schemaFingerprint)
    {
        var record = new TeacherRecord
        {
            RequestId = RequestId,
            EventTimeMs = EventTimeMs,
            ProducerId = producerId,
            Sequence = sequence,
            SchemaFingerprint = schemaFingerprint,
            CandidateCount = CandidateCount,
            Origin = Origin,
        };
        record.User.AddRange(User);
        record.Item.AddRange(Item);
        record.Privileged.AddRange(Privileged);
        record.SamplingLogQ.AddRange(SamplingLogQ);
        record.Labels.AddRange(Labels);
        record.Outputs.AddRange(Outputs);
        return record;
    }

    /// <summary>A request to rank this impression's candidates: what the student may know, nothing else.</summary>
    public RankRequest ToRankRequest(string model, ulong schemaFingerprint)
    {
        var request = new RankRequest
        {
            RequestId = RequestId,
            Model = model,
            SchemaFingerprint = schemaFingerprint,
            CandidateCount = CandidateCount,
        };
        request.User.AddRange(User);
        request.Item.AddRange(Item);
        return request;
    }
}
