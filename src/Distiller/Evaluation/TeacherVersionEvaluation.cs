namespace KdServing.Distiller.Evaluation;

/// <summary>What a teacher said of a record.</summary>
/// <param name="Logits">Null: the same as the scorer <see cref="Scorer.Teacher"/>.</param>
public readonly record struct TeacherScore(string Teacher, long Version, float[]? Logits);

/// <summary>Progressive metrics of one version of a teacher, and of the student on the records that this version scored.</summary>
/// <param name="Scorers"><c>teacher</c>, as the stream brought its logits; <c>student</c> and <c>student_latest</c>, compared with that teacher.</param>
public sealed record TeacherVersionMetrics(string Teacher, long Version, IReadOnlyDictionary<string, ScorerMetrics> Scorers);

/// <summary>Metrics by version of each teacher, for the last versions that came. Part of the evaluation's state; one thread.</summary>
/// <param name="versionsKept">Of each teacher.</param>
internal sealed class TeacherVersionEvaluation(int versionsKept, bool correctLogQ)
{
    // A sixteenth of the precision over all versions: there may be many, and a new one each second.
    private const int BinsPerLogit = 64;

    private static readonly Scorer[] Scorers = [Scorer.Teacher, Scorer.Student, Scorer.StudentLatest];

    private readonly SortedDictionary<string, List<Version>> teachers = new(StringComparer.Ordinal);

    public IReadOnlyList<TeacherVersionMetrics> Metrics => [.. teachers.SelectMany(t => t.Value.Select(v => new TeacherVersionMetrics(t.Key, v.Number,
        Scorers.Select((scorer, s) => (Name: ProgressiveEvaluation.Name(scorer), v.Accumulators[s].Metrics)).Where(m => m.Metrics.Records > 0).ToDictionary(m => m.Name, m => m.Metrics))))];

    /// <summary>Notes one record that counted.</summary>
    /// <param name="teachers">Who scored it.</param>
    /// <param name="results">Of each scorer against the teacher whose logits are <paramref name="logits"/>', by the number of the scorer; null: it did not score.</param>
    public void Observe(LabelledSession session, ReadOnlySpan<byte> ranked, ScorerLogits logits, IReadOnlyList<TeacherScore> teachers, IReadOnlyList<SessionResult?> results)
    {
        for (var t = 0; t < teachers.Count; t++)
        {
            var teacher = teachers[t].Logits ?? logits.Teacher;
            if (!ProgressiveEvaluation.HasScored(teacher, session))
                continue;
            var version = Find(teachers[t].Teacher, teachers[t].Version);
            for (var s = 0; s < Scorers.Length; s++)
            {
                if (results[(int)Scorers[s]] is not { } result)
                    continue;
                var scores = s == 0 ? teacher : logits[Scorers[s]];
                if (teachers[t].Logits is not null)
                    result = SessionResult.Of(session, ranked, scores, s == 0 ? default : teacher, correctLogQ);
                version.Accumulators[s].Add(result, scores, ranked);
            }
        }
    }

    public void Save(BinaryWriter writer)
    {
        writer.Write(teachers.Count);
        foreach (var (teacher, versions) in teachers)
        {
            writer.Write(teacher);
            writer.Write(versions.Count);
            foreach (var version in versions)
            {
                writer.Write(version.Number);
                foreach (var accumulator in version.Accumulators)
                    accumulator.Save(writer);
            }
        }
    }

    public void Restore(BinaryReader reader)
    {
        teachers.Clear();
        for (var left = reader.ReadInt32(); left > 0; left--)
        {
            var versions = teachers[reader.ReadString()] = [];
            for (var more = reader.ReadInt32(); more > 0; more--)
            {
                versions.Add(new(reader.ReadInt64()));
                foreach (var accumulator in versions[^1].Accumulators)
                    accumulator.Restore(reader);
            }
        }
    }

    private Version Find(string teacher, long number)
    {
        if (!teachers.TryGetValue(teacher, out var versions))
            teachers[teacher] = versions = [];
        if (versions.FindLast(v => v.Number == number) is { } found)
            return found;
        versions.Add(new(number));
        if (versions.Count > versionsKept)
            versions.RemoveAt(0);
        return versions[^1];
    }

    private sealed class Version(long number)
    {
        public long Number => number;

        public ScorerAccumulator[] Accumulators { get; } = [.. Scorers.Select(_ => new ScorerAccumulator(BinsPerLogit))];
    }
}
