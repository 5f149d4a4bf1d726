using System.Runtime.InteropServices;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>Those candidates of a batch that a teacher has scored: what a loss compares is theirs alone.</summary>
internal readonly struct ScoredCandidates
{
    private ScoredCandidates(long[]? places) => Places = places;

    /// <summary>Where they are in the batch, ascending; null: all of it.</summary>
    public long[]? Places { get; }

    public bool AreNone => Places is { Length: 0 };

    /// <summary>All whose soft label is a number; an empty batch has none.</summary>
    public static ScoredCandidates In(ReadOnlySpan<float> labels)
    {
        var absent = 0;
        foreach (var label in labels)
            absent += float.IsNaN(label) ? 1 : 0;
        if (absent == 0 && labels.Length > 0)
            return new(null);
        var places = new long[labels.Length - absent];
        for (int i = 0, next = 0; i < labels.Length; i++)
        {
            if (!float.IsNaN(labels[i]))
                places[next++] = i;
        }
        return new(places);
    }

    /// <param name="known">Of every candidate; null: all are.</param>
    public static ScoredCandidates In(bool[]? known) =>
        new(known is null || !known.Contains(false) ? null : [.. Enumerable.Range(0, known.Length).Where(i => known[i]).Select(i => (long)i)]);

    /// <summary>Place of the i-th of them in the batch.</summary>
    public int At(int i) => Places is null ? i : (int)Places[i];

    /// <summary>Their rows.</summary>
    /// <param name="values">[candidates, ...].</param>
    public Tensor Select(Tensor values) => Places is null ? values : values.index_select(0, tensor(Places).to(values.device));

    /// <summary>Their values of one target.</summary>
    /// <param name="rows">[candidates, <paramref name="targets"/>].</param>
    public float[] Column(ReadOnlySpan<float> rows, int targets, int target)
    {
        var column = new float[Count(rows.Length / targets)];
        for (var i = 0; i < column.Length; i++)
            column[i] = rows[At(i) * targets + target];
        return column;
    }

    /// <summary>Their labels as a tensor on the processor.</summary>
    public Tensor AsTensor(ReadOnlySpan<float> labels)
    {
        var some = empty([Count(labels.Length)], dtype: ScalarType.Float32);
        var values = MemoryMarshal.Cast<byte, float>(some.bytes);
        for (var i = 0; i < values.Length; i++)
            values[i] = labels[At(i)];
        return some;
    }

    /// <summary>Which of them share a session.</summary>
    public SessionIndex Sessions(LearningStep step)
    {
        if (Places is null)
            return step.Sessions;
        var sessionOf = new long[Places.Length];
        for (var i = 0; i < sessionOf.Length; i++)
            sessionOf[i] = step.Batch.RowOf[At(i)];
        return SessionIndex.Of(sessionOf);
    }

    /// <summary>The weight of each one's record.</summary>
    public float[] OfCandidates(float[] records, FeatureBatch batch)
    {
        var weights = new float[Count(batch.Candidates)];
        for (var i = 0; i < weights.Length; i++)
            weights[i] = records[batch.RowOf[At(i)]];
        return weights;
    }

    /// <summary>The weight of each record that has any of them: sessions are numbered as they appear, and candidates come record after record.</summary>
    public float[] OfSessions(float[] records, FeatureBatch batch)
    {
        if (Places is null)
            return records;
        var weights = new List<float>();
        for (var i = 0; i < Places.Length; i++)
        {
            if (i == 0 || batch.RowOf[At(i)] != batch.RowOf[At(i - 1)])
                weights.Add(records[batch.RowOf[At(i)]]);
        }
        return [.. weights];
    }

    private int Count(int candidates) => Places?.Length ?? candidates;
}
