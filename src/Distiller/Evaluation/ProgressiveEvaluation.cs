using System.Text;
using KdServing.Contracts;

namespace KdServing.Distiller.Evaluation;

/// <summary>Every record scored before it is learned, by every scorer under comparison, on identical records. One target; one thread.</summary>
/// <remarks>
/// A record counts when all <paramref name="required"/> scorers scored it, so that their metrics are of the same records. Others
/// (the frozen version, which exists later) count when they scored it too; differences are always of records both scored.
/// Ranking metrics are of logits and count sampled candidates as negatives; log loss counts labelled candidates, calibration
/// exposed ones.
/// <code>
/// evaluation.Observe(new(states, origins, logQ), new() { Teacher = t, Student = s, … });   // one record
/// var snapshot = evaluation.Snapshot();
/// </code>
/// </remarks>
/// <param name="required">Scorers without which a record is not counted.</param>
/// <param name="correctLogQ">
/// Log loss of a sampled candidate uses logit − log q, for models whose logits mean the whole population (trained with that
/// correction); false: the logit itself.
/// </param>
/// <param name="seed">Of the bootstrap; the same for equal results.</param>
/// <param name="versionsKept">Versions of each teacher that have metrics of their own.</param>
public sealed class ProgressiveEvaluation(IReadOnlyCollection<Scorer> required, bool correctLogQ, ulong seed = 1, int versionsKept = 4)
{
    private const int StateFormat = 3;
    // Without metrics by teacher's version.
    private const int OlderFormat = 2;
    private const string LabelsOnlyPair = "student_minus_labels_only";
    private const string FrozenPair = "student_minus_frozen";
    private const string EqualAgePair = "student_latest_minus_labels_only";

    private static readonly Scorer[] Scorers = Enum.GetValues<Scorer>();

    private readonly ScorerAccumulator[] accumulators = [.. Scorers.Select(_ => new ScorerAccumulator())];
    // The live student is some seconds old, the labels-only twin is not: their difference understates the teacher's worth, the one
    // between the newest weights of both does not.
    private readonly SortedDictionary<string, (Scorer Of, Scorer With, PoissonBootstrap Bootstrap)> differences = new(StringComparer.Ordinal)
    {
        [EqualAgePair] = (Scorer.StudentLatest, Scorer.StudentLabelsOnly, new(seed)),
        [FrozenPair] = (Scorer.Student, Scorer.StudentFrozen, new(seed)),
        [LabelsOnlyPair] = (Scorer.Student, Scorer.StudentLabelsOnly, new(seed)),
    };

    private readonly TeacherVersionEvaluation byTeacherVersion = new(versionsKept, correctLogQ);
    private readonly SessionResult?[] results = new SessionResult?[Scorers.Length];
    private byte[] ranked = [];

    /// <summary>Records that counted.</summary>
    public long Records { get; private set; }

    /// <summary>Records that a required scorer did not score.</summary>
    public long Unscored { get; private set; }

    /// <summary>Notes one record.</summary>
    /// <param name="teachers">Which versions of which teachers scored it; none: it counts for no version's metrics.</param>
    /// <returns>False when it did not count: a required scorer is missing, or gave a logit that is not finite.</returns>
    public bool Observe(LabelledSession session, ScorerLogits logits, params IReadOnlyList<TeacherScore> teachers)
    {
        foreach (var scorer in required)
        {
            if (!HasScored(logits[scorer], session))
            {
                Unscored++;
                return false;
            }
        }
        Records++;
        var states = RankedStates(session);
        var teacher = HasScored(logits.Teacher, session) ? logits.Teacher : default;
        foreach (var scorer in Scorers)
        {
            results[(int)scorer] = null;
            if (!HasScored(logits[scorer], session))
                continue;
            var result = SessionResult.Of(session, states, logits[scorer], scorer == Scorer.Teacher ? default : teacher, correctLogQ);
            accumulators[(int)scorer].Add(result, logits[scorer], states);
            results[(int)scorer] = result;
        }
        foreach (var (of, with, bootstrap) in differences.Values)
        {
            if (results[(int)of]?.Auc - results[(int)with]?.Auc is { } difference)
                bootstrap.Add(difference);
        }
        byTeacherVersion.Observe(session, states, logits, teachers, results);
        return true;
    }

    public EvaluationSnapshot Snapshot()
    {
        var metrics = Scorers.ToDictionary(s => s, s => accumulators[(int)s].Metrics);
        return new(
            metrics.Where(m => m.Value.Records > 0).ToDictionary(m => Name(m.Key), m => m.Value),
            differences.ToDictionary(d => d.Key, d => d.Value.Bootstrap.Interval95() is var (low, high) ? new[] { low, high } : null),
            TransferRatio(metrics[Scorer.Teacher].Auc, metrics[Scorer.StudentLatest].Auc, metrics[Scorer.StudentLabelsOnly].Auc),
            byTeacherVersion.Metrics);
    }

    /// <summary>(with kd − without) / (teacher − without), of equally fresh weights; null when unknown, or the teacher is no better than the student without it.</summary>
    public static double? TransferRatio(double? teacher, double? student, double? labelsOnly) =>
        teacher - labelsOnly > 0 ? (student - labelsOnly) / (teacher - labelsOnly) : null;

    /// <summary>Everything needed to go on after a restart; a few kilobytes to some hundred.</summary>
    public byte[] Save()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        writer.Write(StateFormat);
        writer.Write(Records);
        writer.Write(Unscored);
        foreach (var accumulator in accumulators)
            accumulator.Save(writer);
        foreach (var (_, _, bootstrap) in differences.Values)
            bootstrap.Save(writer);
        byTeacherVersion.Save(writer);
        writer.Flush();
        return stream.ToArray();
    }

    /// <exception cref="InvalidDataException">The state is damaged or of another release.</exception>
    public void Restore(byte[] state)
    {
        try
        {
            using var reader = new BinaryReader(new MemoryStream(state));
            var format = reader.ReadInt32();
            if (format is not (StateFormat or OlderFormat))
                throw new InvalidDataException("the evaluation state is of another release");
            Records = reader.ReadInt64();
            Unscored = reader.ReadInt64();
            foreach (var accumulator in accumulators)
                accumulator.Restore(reader);
            foreach (var (_, _, bootstrap) in differences.Values)
                bootstrap.Restore(reader);
            if (format == StateFormat)
                byTeacherVersion.Restore(reader);
        }
        catch (Exception e) when (e is EndOfStreamException or FormatException)
        {
            throw new InvalidDataException("the evaluation state is cut short", e);
        }
    }

    internal static bool HasScored(ReadOnlySpan<float> logits, LabelledSession session)
    {
        if (logits.Length != session.Candidates)
            return false;
        foreach (var logit in logits)
        {
            if (!float.IsFinite(logit))
                return false;
        }
        return true;
    }

    private ReadOnlySpan<byte> RankedStates(LabelledSession session)
    {
        if (ranked.Length < session.Candidates)
            ranked = new byte[session.Candidates];
        return SampledAsNegative(session, ranked.AsSpan(0, session.Candidates));
    }

    /// <summary>Label states with every unlabelled sampled candidate counted as a negative: the protocol of sampled evaluation.</summary>
    internal static ReadOnlySpan<byte> SampledAsNegative(LabelledSession session, Span<byte> states)
    {
        for (var i = 0; i < states.Length; i++)
        {
            states[i] = session.States[i] == (byte)LabelState.Unknown && session.Origins[i] == (byte)CandidateOrigin.Sampled
                ? (byte)LabelState.Negative
                : session.States[i];
        }
        return states;
    }

    internal static string Name(Scorer scorer) => scorer switch
    {
        Scorer.Teacher => "teacher",
        Scorer.Student => "student",
        Scorer.StudentLatest => "student_latest",
        Scorer.StudentLabelsOnly => "student_labels_only",
        _ => "student_frozen",
    };
}
