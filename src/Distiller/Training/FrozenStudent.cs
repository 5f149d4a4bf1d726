using KdServing.Contracts;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Training;

/// <summary>A student that no longer learns: a published version as the trainer remembers it. Owns forks of the tables.</summary>
public sealed class FrozenStudent : IDisposable
{
    private readonly Student student;
    private readonly IReadOnlyList<EmbeddingTable> tables;

    /// <param name="tables">Taken over; nobody may write them.</param>
    public FrozenStudent(long version, DenseStudent dense, IReadOnlyList<EmbeddingTable> tables)
    {
        Version = version;
        student = Student.Create(dense);
        this.tables = tables;
    }

    public long Version { get; }

    internal Student Module => student;

    /// <summary>[N × T] row-major.</summary>
    public void Score(FeatureBatch batch, Span<float> logits) => Learner.Score(student, tables, batch, logits);

    public void Dispose()
    {
        student.Dispose();
        foreach (var table in tables)
            table.Dispose();
    }
}
