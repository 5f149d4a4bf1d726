namespace KdServing.Distiller.Evaluation;

/// <summary>Who scores a record before it is learned. The order is that of the saved state.</summary>
public enum Scorer
{
    /// <summary>The logits of the record.</summary>
    Teacher,

    /// <summary>The version live in Serving.</summary>
    Student,

    /// <summary>The trainer's weights.</summary>
    StudentLatest,

    /// <summary>Same initialisation, seed and batches, without the teacher.</summary>
    StudentLabelsOnly,

    /// <summary>The version that was live at one third of the run.</summary>
    StudentFrozen,
}

/// <summary>Logits of one session's candidates by scorer; empty: that scorer did not score it.</summary>
public readonly ref struct ScorerLogits
{
    public ReadOnlySpan<float> Teacher { get; init; }

    public ReadOnlySpan<float> Student { get; init; }

    public ReadOnlySpan<float> StudentLatest { get; init; }

    public ReadOnlySpan<float> StudentLabelsOnly { get; init; }

    public ReadOnlySpan<float> StudentFrozen { get; init; }

    public ReadOnlySpan<float> this[Scorer scorer] => scorer switch
    {
        Scorer.Teacher => Teacher,
        Scorer.Student => Student,
        Scorer.StudentLatest => StudentLatest,
        Scorer.StudentLabelsOnly => StudentLabelsOnly,
        _ => StudentFrozen,
    };
}

/// <summary>The candidates of one record for one target; all spans [N].</summary>
/// <param name="states"><see cref="Contracts.LabelState"/> each.</param>
/// <param name="origins"><see cref="Contracts.CandidateOrigin"/> each.</param>
/// <param name="logQ">Log of the sampling probability, 0 when exposed.</param>
public readonly ref struct LabelledSession(ReadOnlySpan<byte> states, ReadOnlySpan<byte> origins, ReadOnlySpan<float> logQ)
{
    public ReadOnlySpan<byte> States { get; } = states;

    public ReadOnlySpan<byte> Origins { get; } = origins;

    public ReadOnlySpan<float> LogQ { get; } = logQ;

    public int Candidates => States.Length;
}
