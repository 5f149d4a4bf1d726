using KdServing.Contracts;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Publishing;

/// <summary>A version to be: weights copied, tables forked, so that training goes on while it is checked and written.</summary>
/// <remarks>
/// Owns its forks; dispose it when it is published or given up. A draft takes the tables' dirty rows with it: hand it to
/// <see cref="VersionWriter.Publish(VersionDraft)"/> or <see cref="VersionWriter.Hold"/>, which remember them.
/// </remarks>
public sealed class VersionDraft : IDisposable
{
    private VersionDraft(IReadOnlyList<EmbeddingTable> tables, IReadOnlyList<int[]> changedRows)
    {
        Tables = tables;
        ChangedRows = changedRows;
    }

    public required FeatureSchema Schema { get; init; }

    public required DenseStudent Student { get; init; }

    /// <summary>A few requests with the trainer's logits for exactly these weights and rows.</summary>
    public required GoldenBatch Golden { get; init; }

    /// <summary>Stream key → id of the last entry learned from.</summary>
    public required IReadOnlyDictionary<string, string> Position { get; init; }

    public required long WatermarkMs { get; init; }

    public required IReadOnlyDictionary<string, long> TeacherVersions { get; init; }

    public IReadOnlyList<LearnedTeacher>? Teachers { get; init; }

    public required long RecordsLearned { get; init; }

    public required IReadOnlyDictionary<string, double> Metrics { get; init; }

    /// <summary>Forks of the trainer's tables, in the order of <see cref="FeatureSchema.Tables"/>.</summary>
    public IReadOnlyList<EmbeddingTable> Tables { get; }

    /// <summary>Rows of each table written since the previous draft, ascending.</summary>
    public IReadOnlyList<int[]> ChangedRows { get; }

    /// <summary>Forks the trainer's tables and takes their dirty rows. On the training thread, between two steps.</summary>
    public static VersionDraft Take(FeatureSchema schema, IReadOnlyList<EmbeddingTable> tables, DenseStudent student, GoldenBatch golden,
        DraftOrigin origin) => Take(schema, tables, [.. tables.Select(t => t.TakeDirtyRows())], student, golden, origin);

    /// <summary>Forks the trainer's tables; which rows changed since the previous draft is known. On the training thread, between two steps.</summary>
    public static VersionDraft Take(FeatureSchema schema, IReadOnlyList<EmbeddingTable> tables, IReadOnlyList<int[]> changedRows, DenseStudent student,
        GoldenBatch golden, DraftOrigin origin)
    {
        StudentShape.Require(student, schema);
        return new([.. tables.Select(t => t.Fork())], changedRows)
        {
            Schema = schema,
            Student = student,
            Golden = golden,
            Position = origin.Position,
            WatermarkMs = origin.WatermarkMs,
            TeacherVersions = origin.TeacherVersions,
            Teachers = origin.Teachers,
            RecordsLearned = origin.RecordsLearned,
            Metrics = origin.Metrics,
        };
    }

    public void Dispose()
    {
        foreach (var table in Tables)
            table.Dispose();
    }
}

/// <summary>What a draft has learned from; the fields of <see cref="VersionManifest"/> of the same names.</summary>
public sealed record DraftOrigin(IReadOnlyDictionary<string, string> Position, long WatermarkMs,
    IReadOnlyDictionary<string, long> TeacherVersions, long RecordsLearned, IReadOnlyDictionary<string, double> Metrics)
{
    public IReadOnlyList<LearnedTeacher>? Teachers { get; init; }
}
