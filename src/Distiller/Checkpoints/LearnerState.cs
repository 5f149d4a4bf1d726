using System.Globalization;
using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Checkpoints;

/// <summary>A learner at one moment: weights and moments copied, tables forked, so that it can be written while training goes on.</summary>
public sealed class LearnerState : IDisposable
{
    private const string StepsKey = "adam_steps";
    private const string CounterPrefix = "counter.";

    private readonly List<(string Name, long[] Shape, float[] Values)> dense = [];
    private readonly List<(string Name, EmbeddingTable Table)> tables = [];
    private readonly SortedDictionary<string, long> counters;
    private readonly long steps;

    /// <summary>On the training thread, between two steps. Copies the dense part, forks the rows.</summary>
    public LearnerState(Learner learner)
    {
        steps = learner.Adam.Steps;
        counters = new(learner.Counters, StringComparer.Ordinal);
        foreach (var (name, parameter) in learner.NamedParameters)
            dense.Add((DenseTensors.Name(name), parameter.shape, DenseTensors.Floats(parameter)));
        foreach (var (name, mean, square) in learner.Adam.Moments)
        {
            dense.Add(($"adam_mean.{name}", mean.shape, DenseTensors.Floats(mean)));
            dense.Add(($"adam_square.{name}", square.shape, DenseTensors.Floats(square)));
        }
        foreach (var (name, table) in learner.NamedTables)
            tables.Add((name, table.Fork()));
    }

    /// <summary>Any thread.</summary>
    public void Write(Stream stream)
    {
        var writer = new SafetensorsWriter();
        writer.AddMetadata(StepsKey, steps.ToString(CultureInfo.InvariantCulture));
        foreach (var (name, value) in counters)
            writer.AddMetadata($"{CounterPrefix}{name}", value.ToString(CultureInfo.InvariantCulture));
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
        foreach (var (name, parameter) in learner.NamedParameters)
            DenseTensors.Restore(file, DenseTensors.Name(name), parameter);
        foreach (var (name, mean, square) in learner.Adam.Moments)
        {
            DenseTensors.Restore(file, $"adam_mean.{name}", mean);
            DenseTensors.Restore(file, $"adam_square.{name}", square);
        }
        foreach (var (name, table) in learner.NamedTables)
        {
            file.Read(name, table);
            table.TakeDirtyRows();
        }
        learner.Counters.Clear();
        foreach (var (key, value) in file.Metadata.Where(m => m.Key.StartsWith(CounterPrefix, StringComparison.Ordinal)))
            learner.Counters[key[CounterPrefix.Length..]] = long.Parse(value, CultureInfo.InvariantCulture);
        learner.Adam.Steps = steps;
    }

    public void Dispose()
    {
        foreach (var (_, table) in tables)
            table.Dispose();
    }
}
