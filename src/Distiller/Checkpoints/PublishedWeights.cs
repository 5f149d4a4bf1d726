using System.Globalization;
using KdServing.Contracts;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Checkpoints;

/// <summary>
/// <c>&lt;folder&gt;/&lt;version&gt;.safetensors</c>: dense weights of published versions, so that a Distiller that starts again
/// can score as they do. Their rows are in the repository.
/// </summary>
public sealed class PublishedWeights(string folder, ModelRepository repository, string model, FeatureSchema schema, StudentConfig config)
{
    private const int Kept = 50;

    public void Save(FrozenStudent student, long frozenVersion)
    {
        Directory.CreateDirectory(folder);
        DurableFile.Replace(PathOf(student.Version), stream =>
        {
            var writer = new SafetensorsWriter();
            foreach (var (name, shape, values) in DenseTensors.Copy(student.Module))
                writer.Add(name, shape, values);
            writer.Write(stream);
        });
        var versions = Directory.EnumerateFiles(folder, "*.safetensors")
            .Select(p => long.TryParse(Path.GetFileNameWithoutExtension(p), NumberStyles.None, CultureInfo.InvariantCulture, out var v) ? v : -1)
            .Where(v => v > 0 && v != frozenVersion).Order();
        foreach (var old in versions.SkipLast(Kept))
            File.Delete(PathOf(old));
    }

    /// <summary>A published version as it ranks; null, with the reason told, when it can not be had any more.</summary>
    public FrozenStudent? Load(long version, Action<string> report)
    {
        var tables = schema.Tables.Select(t => new EmbeddingTable(t)).ToList();
        try
        {
            using var file = new SafetensorsFile(PathOf(version));
            using var student = Student.Create(config, schema, 0);
            DenseTensors.Restore(file, student);
            foreach (var link in repository.Chain(repository.Manifest(model, version)))
                repository.ReadVerified(link, StudentSignature.RowsFile, s => RowsFile.Apply(s, tables, requireFinite: true));
            return new(version, student.ToDense(), tables);
        }
        catch (Exception e) when (e is ContractException or IOException or UnauthorizedAccessException)
        {
            report($"version {version} can not be compared with any more: {e.Message}");
            tables.ForEach(t => t.Dispose());
            return null;
        }
    }

    private string PathOf(long version) => Path.Combine(folder, version.ToString(CultureInfo.InvariantCulture) + ".safetensors");
}
