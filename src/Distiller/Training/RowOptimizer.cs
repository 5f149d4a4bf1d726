using System.Numerics;
using KdServing.Contracts;

namespace KdServing.Distiller.Training;

/// <summary>What Adagrad accumulates squared gradients over.</summary>
public enum AdagradState
{
    /// <summary>One accumulator a row, fed with the mean of the squares: 1/width of the memory.</summary>
    Row,

    /// <summary>One accumulator an element, as in the paper.</summary>
    Element,
}

/// <summary>How embedding rows learn: Adagrad (Duchi, Hazan, Singer 2011), by default row-wise.</summary>
/// <param name="InitialAccumulator">Damps the first steps of a row seen for the first time.</param>
public sealed record RowOptimizerOptions(
    float LearningRate = 0.05f,
    float InitialAccumulator = 0.01f,
    float Epsilon = 1e-8f,
    AdagradState State = AdagradState.Row,
    float InitialScale = 0.05f);

/// <summary>Applies gradients to rows of one table; its accumulators are a table themselves, so that a checkpoint can fork them.</summary>
internal sealed unsafe class RowOptimizer : IDisposable
{
    private readonly RowOptimizerOptions options;
    private readonly EmbeddingTable table;

    public RowOptimizer(EmbeddingTable table, RowOptimizerOptions options)
    {
        this.table = table;
        this.options = options;
        var width = options.State == AdagradState.Row ? 1 : table.Width;
        Accumulators = new(table.Shape with { Width = width });
    }

    /// <summary>Sum of squares beyond <see cref="RowOptimizerOptions.InitialAccumulator"/>; [rows, 1 or width].</summary>
    public EmbeddingTable Accumulators { get; }

    /// <summary>One step of one row by its whole gradient; [width].</summary>
    public void Apply(int row, float* gradient)
    {
        fixed (float* values = table.Writable(row), sums = Accumulators.Writable(row))
        {
            if (options.State == AdagradState.Row)
                ApplyRow(values, sums, gradient);
            else
                ApplyElements(values, sums, gradient);
        }
    }

    public void Dispose() => Accumulators.Dispose();

    private void ApplyRow(float* values, float* sum, float* gradient)
    {
        var (width, lanes) = (table.Width, Vector<float>.Count);
        var (squares, d) = (0f, 0);
        for (; d + lanes <= width; d += lanes)
            squares += Vector.Dot(Vector.Load(gradient + d), Vector.Load(gradient + d));
        for (; d < width; d++)
            squares += gradient[d] * gradient[d];
        *sum += squares / width;
        RowGather.AddScaled(values, gradient, width, -options.LearningRate / (MathF.Sqrt(*sum + options.InitialAccumulator) + options.Epsilon));
    }

    private void ApplyElements(float* values, float* sums, float* gradient)
    {
        for (var d = 0; d < table.Width; d++)
        {
            sums[d] += gradient[d] * gradient[d];
            values[d] -= options.LearningRate * gradient[d] / (MathF.Sqrt(sums[d] + options.InitialAccumulator) + options.Epsilon);
        }
    }
}
