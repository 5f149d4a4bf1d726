using KdServing.Contracts;
using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Calibration;

/// <summary>What is told of the teachers' versions: in <c>status.json</c> of all that are remembered, in a manifest of the newest.</summary>
public static class LearnedTeachers
{
    private const int NewestInManifest = 2;

    /// <summary>For a manifest.</summary>
    public static IReadOnlyList<LearnedTeacher> Of(IReadOnlyList<TakenVersion> taken, IReadOnlyList<TeacherVersionMetrics> evaluated) =>
        [.. taken.GroupBy(t => t.Teacher).SelectMany(teacher => teacher.GroupBy(t => t.Version).TakeLast(NewestInManifest).Select(version => new LearnedTeacher(
            teacher.Key, version.Key, version.Max(t => t.Records),
            version.ToDictionary(t => t.Target, t => new TeacherMap(t.Map.Scale, t.Map.Bias, t.HandedOn)),
            Metrics(evaluated.FirstOrDefault(e => e.Teacher == teacher.Key && e.Version == version.Key)))))];

    private static SortedDictionary<string, double> Metrics(TeacherVersionMetrics? evaluated)
    {
        var named = new SortedDictionary<string, double>(StringComparer.Ordinal);
        foreach (var (scorer, metrics) in evaluated?.Scorers ?? new Dictionary<string, ScorerMetrics>())
        {
            foreach (var (name, value) in (ReadOnlySpan<(string, double?)>)[("auc", metrics.Auc), ("gauc", metrics.Gauc), ("logloss", metrics.Logloss),
                ("calibration", metrics.Calibration), ("overlap_at_10", metrics.OverlapAt10)])
            {
                if (value is { } known && double.IsFinite(known))
                    named[$"{scorer}_{name}"] = known;
            }
        }
        return named;
    }
}
