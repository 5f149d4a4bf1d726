using System.Globalization;
using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Checkpoints;

/// <summary>A learner at one moment: weights and moments copied, tables forked, so that it can be written while training goes on.</summary>
public sealed class LearnerState : IDisposable
{
    private const string StepsKey = "adam_steps";

    private readonly List<(string Name, long[] Shape, float[] Values)> dense = [];
    private readonly List<(string Name, EmbeddingTable Table)> tables = [];
    private readonly long steps;

    /// <summary>On the training thread, between two steps. Copies the dense part, forks the rows.</summary>
    public LearnerState(Learner learner)
    {
        steps = learner.Adam.Steps;
        dense.AddRange(DenseTensors.Copy(learner.Student));
        foreach (var (name, mean, square) in learner.Adam.Moments)
        {
            dense.Add(($"adam_mean.{name}", mean.shape, DenseTensors.Floats(mean)));
            dense.Add(($"adam_square.{name}", square.shape, DenseTensors.Floats(square)));
        }
        foreach (var (table, sums) in learner.Embeddings.Tables.Zip(learner.Embeddings.Accumulators))
        {
            tables.Add(($"rows.{table.Shape.Name}", table.Fork()));
            tables.Add(($"adagrad.{table.Shape.Name}", sums.Fork()));
        }
    }

    /// <summary>Any thread.</summary>
    public void Write(Stream stream)
    {
        var writer = new SafetensorsWriter();
        writer.AddMetadata(StepsKey, steps.ToString(CultureInfo.InvariantCulture));
        foreach (var (name, shape, values) in dense)
            writer.Add(name, shape, values);
        foreach (var (name, table) in tables)
            writer.Add(name, table);
        writer.Write(stream);
    }

    /// <summary>Puts a learner back to where it was written.</summary>
    /// <exception cref="ContractException">The file is of another student or schema.</exception>
    public static void Restore(SafetensorsFile file, Learner learner)
    {
        if (!file.Metadata.TryGetValue(StepsKey, out var text) || !long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var steps))
            throw new ContractException(StepsKey, "is missing in the checkpoint's metadata");
        DenseTensors.Restore(file, learner.Student);
        foreach (var (name, mean, square) in learner.Adam.Moments)
        {
            DenseTensors.Restore(file, $"adam_mean.{name}", mean);
            DenseTensors.Restore(file, $"adam_square.{name}", square);
        }
        foreach (var (table, sums) in learner.Embeddings.Tables.Zip(learner.Embeddings.Accumulators))
        {
            file.Read($"rows.{table.Shape.Name}", table);
            file.Read($"adagrad.{table.Shape.Name}", sums);
            table.TakeDirtyRows();
            sums.TakeDirtyRows();
        }
        learner.Adam.Steps = steps;
    }

    public void Dispose()
    {
        foreach (var (_, table) in tables)
            table.Dispose();
    }
}
