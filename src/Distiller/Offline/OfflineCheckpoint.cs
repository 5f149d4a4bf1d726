using System.Globalization;
using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Offline;

/// <summary>Everything that changes when a learner learns from files, in one safetensors file.</summary>
public static class OfflineCheckpoint
{
    private const string StepsKey = "adam_steps";
    private const string CounterPrefix = "counter.";

    /// <summary>Replaces the file whole or not at all.</summary>
    /// <param name="metadata">Where the training is; see <see cref="Load"/>.</param>
    /// <exception cref="IOException">The disk refused; the file is as it was.</exception>
    public static void Save(string path, Learner learner, IEnumerable<KeyValuePair<string, string>> metadata)
    {
        var writer = new SafetensorsWriter();
        foreach (var (key, value) in metadata)
            writer.AddMetadata(key, value);
        writer.AddMetadata(StepsKey, learner.Adam.Steps.ToString(CultureInfo.InvariantCulture));
        foreach (var (name, count) in learner.Counters)
            writer.AddMetadata(CounterPrefix + name, count.ToString(CultureInfo.InvariantCulture));
        foreach (var (name, tensor) in Dense(learner))
            writer.Add(name, tensor.shape, DenseTensors.Floats(tensor));
        foreach (var (name, table) in learner.NamedTables)
            writer.Add(name, table);
        DurableFile.Replace(path, writer.Write);
    }

    /// <summary>Puts a learner back to where it was saved.</summary>
    /// <returns>The metadata.</returns>
    /// <exception cref="ContractException">The file is of another student, schema or method.</exception>
    public static IReadOnlyDictionary<string, string> Load(string path, Learner learner)
    {
        using var file = new SafetensorsFile(path);
        foreach (var (name, tensor) in Dense(learner))
            DenseTensors.Restore(file, name, tensor);
        foreach (var (name, table) in learner.NamedTables)
            file.Read(name, table);
        learner.Adam.Steps = Number(StepsKey);
        foreach (var key in file.Metadata.Keys.Where(k => k.StartsWith(CounterPrefix, StringComparison.Ordinal)))
            learner.Counters[key[CounterPrefix.Length..]] = Number(key);
        return file.Metadata;

        long Number(string key) => file.Metadata.TryGetValue(key, out var text) && long.TryParse(text, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw new ContractException(key, $"is missing in {path}; remove the file and start without --continue");
    }

    private static IEnumerable<(string Name, Tensor Tensor)> Dense(Learner learner) =>
        learner.NamedParameters.Select(p => ("weight." + p.Name, (Tensor)p.Parameter))
            .Concat(learner.Adam.Moments.SelectMany(m => new[] { ("adam_mean." + m.Name, m.Mean), ("adam_square." + m.Name, m.Square) }));
}
