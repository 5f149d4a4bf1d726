using System.Globalization;
using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Checkpoints;

/// <summary>A learner at one moment: weights and moments copied, tables forked, so that it can be written while training goes on.</summary>
/// <remarks>
/// Written whole as one safetensors file, or as a safetensors file of the dense part and a <see cref="RowsFile"/> of the rows that
/// changed since the state before.
/// </remarks>
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
        dense.AddRange(DenseTensors.Copy(learner.NamedParameters));
        foreach (var (name, mean, square) in learner.Adam.Moments)
        {
            dense.Add(($"adam_mean.{name}", mean.shape, DenseTensors.Floats(mean)));
            dense.Add(($"adam_square.{name}", square.shape, DenseTensors.Floats(square)));
        }
        foreach (var (name, table) in learner.NamedTables)
            tables.Add((name, table.Fork()));
    }

    /// <summary>Rows of all tables.</summary>
    public long Rows => tables.Sum(t => (long)t.Table.Rows);

    /// <summary>Everything. Any thread.</summary>
    public void Write(Stream stream) => Write(stream, withRows: true);

    /// <summary>All but the rows. Any thread.</summary>
    public void WriteDense(Stream stream) => Write(stream, withRows: false);

    /// <summary>The rows that changed, in the order of <see cref="Learner.NamedTables"/>. Any thread.</summary>
    public void WriteRows(Stream stream, IReadOnlyList<int[]> changed) => RowsFile.Write(stream, [.. tables.Select(t => t.Table)], changed);

    /// <summary>Puts a learner back to where it was written: the file of a whole state, then those of what changed, in order.</summary>
    /// <exception cref="ContractException">A file is of another student or schema.</exception>
    public static void Restore(IReadOnlyList<(string Dense, string Rows)> chain, Learner learner)
    {
        for (var link = 0; link < chain.Count; link++)
        {
            using var file = new SafetensorsFile(chain[link].Dense);
            if (link == 0)
            {
                foreach (var (name, table) in learner.NamedTables)
                    file.Read(name, table);
            }
            else
            {
                // As it was: a checkpoint is the state, whatever became of it.
                using var rows = File.OpenRead(chain[link].Rows);
                RowsFile.Apply(rows, [.. learner.NamedTables.Select(t => t.Table)], requireFinite: false);
            }
            if (link == chain.Count - 1)
                RestoreDense(file, learner);
        }
    }

    public void Dispose()
    {
        foreach (var (_, table) in tables)
            table.Dispose();
    }

    private static void RestoreDense(SafetensorsFile file, Learner learner)
    {
        if (!file.Metadata.TryGetValue(StepsKey, out var text) || !long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var steps))
            throw new ContractException(StepsKey, "is missing in the checkpoint's metadata");
        DenseTensors.Restore(file, learner.NamedParameters);
        foreach (var (name, mean, square) in learner.Adam.Moments)
        {
            DenseTensors.Restore(file, $"adam_mean.{name}", mean);
            DenseTensors.Restore(file, $"adam_square.{name}", square);
        }
        learner.Counters.Clear();
        foreach (var (key, value) in file.Metadata.Where(m => m.Key.StartsWith(CounterPrefix, StringComparison.Ordinal)))
            learner.Counters[key[CounterPrefix.Length..]] = long.Parse(value, CultureInfo.InvariantCulture);
        learner.Adam.Steps = steps;
    }

    private void Write(Stream stream, bool withRows)
    {
        var writer = new SafetensorsWriter();
        writer.AddMetadata(StepsKey, steps.ToString(CultureInfo.InvariantCulture));
        foreach (var (name, value) in counters)
            writer.AddMetadata($"{CounterPrefix}{name}", value.ToString(CultureInfo.InvariantCulture));
        foreach (var (name, shape, values) in dense)
            writer.Add(name, shape, values);
        if (withRows)
        {
            foreach (var (name, table) in tables)
                writer.Add(name, table);
        }
        writer.Write(stream);
    }
}
