using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Training;

/// <summary>What every scorer said of one batch before it was learned; buffers are kept. One thread.</summary>
public sealed class BatchScores(FeatureSchema schema)
{
    private readonly Dictionary<Scorer, List<float>> logits = [];
    private readonly HashSet<Scorer> present = [];
    private readonly List<TeacherScore> teachers = [];

    /// <summary>Forgets the last batch.</summary>
    public void Clear() => present.Clear();

    /// <summary>Room for a scorer's logits, [N × T] row-major.</summary>
    public Span<float> Of(Scorer scorer, int candidates)
    {
        present.Add(scorer);
        if (!logits.TryGetValue(scorer, out var list))
            logits[scorer] = list = [];
        CollectionsMarshal.SetCount(list, candidates * schema.Targets.Count);
        return CollectionsMarshal.AsSpan(list);
    }

    /// <summary>Hands every record that has labels of the first target to the evaluation.</summary>
    /// <param name="teacher">The teacher's logits of the first target as the stream brought them, [N].</param>
    /// <param name="records">Those of the batch.</param>
    public void Observe(FeatureBatch batch, ReadOnlySpan<float> teacher, IReadOnlyList<TeacherRecord> records, ProgressiveEvaluation evaluation)
    {
        var student = FirstTarget(Scorer.Student);
        var latest = FirstTarget(Scorer.StudentLatest);
        var labelsOnly = FirstTarget(Scorer.StudentLabelsOnly);
        var frozen = FirstTarget(Scorer.StudentFrozen);
        for (var u = 0; u < batch.Records; u++)
        {
            var (start, count) = (batch.Starts[u], batch.Starts[u + 1] - batch.Starts[u]);
            var states = batch.Labels(0).Slice(start, count);
            if (states.ContainsAnyExcept((byte)LabelState.Unknown))
            {
                evaluation.Observe(new(states, batch.Origins.Slice(start, count), batch.LogQ.Slice(start, count)), new()
                {
                    Teacher = teacher.Slice(start, count),
                    Student = Part(student, start, count),
                    StudentLatest = Part(latest, start, count),
                    StudentLabelsOnly = Part(labelsOnly, start, count),
                    StudentFrozen = Part(frozen, start, count),
                }, Teachers(records[u]));
            }
        }
    }

    /// <summary>What was said of the candidates of one record, first target; after <see cref="Observe"/>.</summary>
    /// <param name="teacher">The teacher's logits of the first target as the stream brought them, [N]; not finite where it did not score.</param>
    public SessionScores Session(ReadOnlySpan<float> teacher, TeacherRecord record, int start, int count)
    {
        var output = record.Outputs.FirstOrDefault(o => o.Target == schema.Targets[0]);
        return new(output?.Teacher, output?.TeacherVersion ?? 0, teacher.Slice(start, count).ToArray(), Copy(Scorer.Student), Copy(Scorer.StudentLatest), Copy(Scorer.StudentLabelsOnly), Copy(Scorer.StudentFrozen));

        float[]? Copy(Scorer scorer) => present.Contains(scorer) ? CollectionsMarshal.AsSpan(logits[scorer]).Slice(start, count).ToArray() : null;
    }

    // The first is the one that the scorers are compared with.
    private List<TeacherScore> Teachers(TeacherRecord record)
    {
        teachers.Clear();
        foreach (var output in record.Outputs)
        {
            if (output.Target == schema.Targets[0])
                teachers.Add(new(output.Teacher, output.TeacherVersion, teachers.Count == 0 ? null : [.. output.Logits]));
        }
        return teachers;
    }

    private static ReadOnlySpan<float> Part(ReadOnlySpan<float> logits, int start, int count) =>
        logits.IsEmpty ? default : logits.Slice(start, count);

    // One target: the logits as they are. Several: the scorer's list is compacted in place to its first column.
    private ReadOnlySpan<float> FirstTarget(Scorer scorer)
    {
        if (!present.Contains(scorer))
            return default;
        var all = CollectionsMarshal.AsSpan(logits[scorer]);
        var targets = schema.Targets.Count;
        for (var i = 0; targets > 1 && i < all.Length / targets; i++)
            all[i] = all[i * targets];
        return all[..(all.Length / targets)];
    }
}
