using System.CommandLine;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Students;
using KdServing.Distiller.Teachers;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Offline;

/// <summary>The options that name data and configurations, shared by <c>train</c> and <c>compare</c>, and the reading of what they name.</summary>
internal sealed class OfflineFiles
{
    private readonly Option<string> data = new("--data") { Description = "Folder of a dataset with a sample of its name, or with a dataset.json inside.", Required = true };
    private readonly Option<FileInfo?> config = new("--config") { Description = "distiller.json: losses or preset, optimiser, the block 'offline'; by default the sample's." };
    private readonly Option<FileInfo?> schema = new("--schema") { Description = "schema.json; by default the one beside distiller.json." };
    private readonly Option<FileInfo?> student = new("--student") { Description = "student.json; by default the one beside distiller.json." };
    private readonly Option<FileInfo?> teacher = new("--teacher") { Description = "teacher.json, whose block 'offline' says what is cross-fitted; by default the one beside distiller.json." };
    private readonly Option<string?> samples = new("--samples") { Description = "Folder of samples; by default the repository's." };
    private readonly Option<string?> cache = new("--cache") { Description = "Folder of teachers' logits and finished runs. Default: .kd/cache/offline." };

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[data, config, schema, student, teacher, samples, cache])
            command.Add(option);
    }

    /// <exception cref="ContractException">A file is missing or breaks a rule.</exception>
    public OfflineInputs Read(ParseResult parsed)
    {
        try
        {
            var folder = parsed.GetRequiredValue(data);
            // Data that brings its own description needs no samples.
            var reader = DatasetReader.Open(folder, parsed.GetValue(samples)
                ?? (File.Exists(Path.Combine(folder, SampleCatalog.DescriptionFile)) ? folder : SampleCatalog.FindRoot()));
            var settings = parsed.GetValue(config)?.FullName ?? Path.Combine(reader.SamplePath, "distiller.json");
            var beside = Path.GetDirectoryName(settings)!;
            var teacherFile = parsed.GetValue(teacher)?.FullName ?? Path.Combine(beside, "teacher.json");
            return new(reader,
                FeatureSchema.Parse(Text(parsed.GetValue(schema)?.FullName ?? Path.Combine(beside, "schema.json"), "--schema")),
                StudentConfig.Parse(Text(parsed.GetValue(student)?.FullName ?? Path.Combine(beside, "student.json"), "--student")),
                DistillerConfig.Parse(Text(settings, "--config")),
                parsed.GetValue(teacher) is null && !File.Exists(teacherFile) ? null : TeacherConfig.Load(teacherFile),
                Path.GetFullPath(parsed.GetValue(cache) ?? Path.Combine(".kd", "cache", "offline")));
        }
        catch (DatasetException e)
        {
            throw new ContractException("--data", e.Message);
        }
    }

    private static string Text(string path, string option) => File.Exists(path)
        ? File.ReadAllText(path)
        : throw new ContractException(option, $"no file {path}");
}

/// <summary>What the options name, read and checked.</summary>
/// <param name="Teacher">Null when there is no teacher.json.</param>
internal sealed record OfflineInputs(DatasetReader Reader, FeatureSchema Schema, StudentConfig Shape, DistillerConfig Config, TeacherConfig? Teacher, string CacheFolder);
