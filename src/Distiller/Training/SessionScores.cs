namespace KdServing.Distiller.Training;

/// <summary>What every scorer said of one record before it was learned, first target; [N] each, null where it did not score.</summary>
/// <param name="TeacherName">Whose logits <paramref name="Teacher"/> are; null: not known.</param>
public sealed record SessionScores(string? TeacherName, long TeacherVersion, float[]? Teacher, float[]? Student, float[]? StudentLatest, float[]? StudentLabelsOnly, float[]? StudentFrozen);
