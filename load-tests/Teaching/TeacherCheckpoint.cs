using System.Globalization;
using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Teachers;
using static TorchSharp.torch;

namespace KdServing.LoadTests.Teaching;

/// <summary>Everything a teacher needs to go on, in one safetensors file: weights, embedding rows, both optimisers' state.</summary>
public static class TeacherCheckpoint
{
    /// <summary>Puts the file in place at once; readers see the old one or the new. No flush to the disk: it can be made again.</summary>
    public static void Save(Teacher teacher, string path)
    {
        var writer = new SafetensorsWriter();
        writer.AddMetadata("teacher", teacher.Config.Name);
        writer.AddMetadata("teacher_version", teacher.Version.ToString(CultureInfo.InvariantCulture));
        writer.AddMetadata("schema_fingerprint", Fingerprint(teacher));
        writer.AddMetadata("optimizer_steps", teacher.Optimizer.Steps.ToString(CultureInfo.InvariantCulture));
        foreach (var (name, tensor) in Dense(teacher))
        {
            using var dense = tensor.detach().contiguous();
            writer.Add(name, tensor.shape, MemoryMarshal.Cast<byte, float>(dense.bytes).ToArray());
        }
        foreach (var (name, table) in Tables(teacher))
            writer.Add(name, table);
        var temporary = $"{path}.{Environment.ProcessId}.tmp";
        using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20))
            writer.Write(stream);
        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Overwrites a teacher of the same schema and configuration.</summary>
    /// <exception cref="ContractException">The file is damaged or of another teacher; the teacher may be partly overwritten.</exception>
    public static void Load(Teacher teacher, string path)
    {
        using var file = new SafetensorsFile(path);
        if (file.Metadata.GetValueOrDefault("schema_fingerprint") != Fingerprint(teacher))
            throw new ContractException(Path.GetFileName(path), "was written with another schema.json");
        teacher.Version = Number(file, "teacher_version", path);
        teacher.Optimizer.Steps = Number(file, "optimizer_steps", path);
        using var quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, target) in Dense(teacher))
            target.copy_(tensor(file.Read(name, target.shape), target.shape));
        foreach (var (name, table) in Tables(teacher))
            file.Read(name, table);
    }

    private static IEnumerable<(string Name, Tensor Tensor)> Dense(Teacher teacher) =>
        teacher.Network.named_parameters().Select(p => ("network." + p.name, (Tensor)p.parameter))
            .Concat(teacher.Optimizer.Moments.SelectMany(m => new[] { ("adam.mean." + m.Name, m.Mean), ("adam.square." + m.Name, m.Square) }));

    private static IEnumerable<(string Name, EmbeddingTable Table)> Tables(Teacher teacher) =>
        teacher.Rows.Tables.Select(t => ("rows." + t.Shape.Name, t))
            .Concat(teacher.Rows.Tables.Zip(teacher.Rows.Accumulators, (t, a) => ("adagrad." + t.Shape.Name, a)));

    private static string Fingerprint(Teacher teacher) => teacher.Schema.Fingerprint.ToString("x16", CultureInfo.InvariantCulture);

    private static long Number(SafetensorsFile file, string key, string path) =>
        long.TryParse(file.Metadata.GetValueOrDefault(key), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new ContractException(Path.GetFileName(path), $"lacks '{key}'");
}
