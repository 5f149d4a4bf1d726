using System.Runtime.InteropServices;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace KdServing.Distiller.Teachers;

/// <summary>A batch that has been scored and may be learned, once. Same thread throughout.</summary>
public sealed class ScoredBatch : IDisposable
{
    private readonly Teacher teacher;
    private readonly FeatureBatch batch;
    private readonly DisposeScope scope;
    private readonly List<(GroupRows Rows, Tensor Matrix)> gathered = [];
    private readonly Tensor output;
    private readonly int targets;
    private readonly float[] logits;

    internal ScoredBatch(Teacher teacher, FeatureBatch batch)
    {
        (this.teacher, this.batch) = (teacher, batch);
        targets = teacher.Schema.Targets.Count;
        scope = NewDisposeScope();
        try
        {
            output = teacher.Network.call(new(
                Gather(batch.User)!, Gather(batch.Item)!, Gather(batch.Live), Gather(batch.Privileged),
                tensor(batch.RowOf.ToArray()), batch.UniformCandidates));
            using var values = output.detach().contiguous();
            logits = MemoryMarshal.Cast<byte, float>(values.bytes).ToArray();
        }
        catch
        {
            scope.Dispose();
            throw;
        }
    }

    /// <summary>The logits of one impression and target, [candidates of the impression].</summary>
    public float[] Logits(int impression, int target)
    {
        var (start, end) = (batch.Starts[impression], batch.Starts[impression + 1]);
        var copy = new float[end - start];
        for (var i = 0; i < copy.Length; i++)
            copy[i] = logits[(start + i) * targets + target];
        return copy;
    }

    /// <summary>One optimiser step on the labels of the batch; none if there are no labels.</summary>
    public void Learn()
    {
        var sessions = batch.UniformCandidates > 0
            ? SessionIndex.Uniform(batch.Records, batch.UniformCandidates)
            : SessionIndex.Of(batch.RowOf);
        Tensor? loss = null;
        for (var t = 0; t < targets; t++)
        {
            if (teacher.Loss(output.select(1, t), batch, t, sessions) is { } one)
                loss = loss is null ? one : loss.add(one);
        }
        if (loss is null)
            return;
        loss.backward();
        foreach (var (rows, matrix) in gathered)
        {
            if (matrix.grad is { } gradient)
                teacher.Rows.Accumulate(rows, gradient);
        }
        teacher.Rows.Step();
        teacher.Optimizer.Step();
    }

    public void Dispose() => scope.Dispose();

    private Tensor? Gather(GroupRows? rows)
    {
        if (rows is null || rows.Group.Width == 0)
            return null;
        var matrix = teacher.Rows.Gather(rows);
        gathered.Add((rows, matrix));
        return matrix;
    }
}
