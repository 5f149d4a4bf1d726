using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Training;

/// <summary>How alike the live version and the teacher order candidates, since that version went live. One thread.</summary>
/// <remarks>Taken from the growth of the progressive metrics, so it costs nothing; servers roll back a version by it.</remarks>
public sealed class LiveFidelity
{
    // Fewer say nothing: the overlap of one session has a standard deviation of about 0.2.
    private const int MinRecords = 200;

    private long version;
    private long recordsBefore;
    private double sumBefore;

    /// <summary>Notes the metrics of <c>student</c> as they are now.</summary>
    /// <returns>The live version's mean overlap@10 with the teacher; null while too few records were scored by it.</returns>
    public (long Version, double Overlap)? Note(long? live, ScorerMetrics? student)
    {
        if (live is not { } now || student?.OverlapAt10 is not { } mean)
            return null;
        if (now != version)
        {
            (version, recordsBefore, sumBefore) = (now, student.Records, mean * student.Records);
            return null;
        }
        var records = student.Records - recordsBefore;
        return records < MinRecords ? null : (version, (mean * student.Records - sumBefore) / records);
    }
}
