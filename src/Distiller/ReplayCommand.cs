using System.CommandLine;
using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller;

/// <summary><c>replay</c>: rebuilds a version from its lineage and compares it with the one that was published.</summary>
public static class ReplayCommand
{
    public static Command Create()
    {
        var version = new Option<long>("--version") { Description = "Version to rebuild.", Required = true };
        var config = new Option<FileInfo>("--config") { Description = "distiller.json, as when the version was trained.", Required = true };
        var schema = new Option<FileInfo?>("--schema") { Description = "schema.json; by default the one beside distiller.json." };
        var student = new Option<FileInfo?>("--student") { Description = "student.json; by default the one beside distiller.json." };
        var repository = new Option<DirectoryInfo>("--repository") { Description = "Model repository that holds the version.", DefaultValueFactory = _ => new("models") };
        var state = new Option<DirectoryInfo>("--state") { Description = "Folder of checkpoints.", DefaultValueFactory = _ => new("state") };
        var output = new Option<DirectoryInfo?>("--out") { Description = "Empty folder to rebuild into; by default a temporary one, removed when all is equal." };
        var command = new Command("replay", "Rebuild a published version from checkpoints and what was learned since, and compare it bit for bit.")
        {
            version, config, schema, student, repository, state, output,
        };
        command.SetAction(parsed =>
        {
            try
            {
                var file = parsed.GetValue(config)!;
                var features = FeatureSchema.Parse(Read(parsed.GetValue(schema)?.FullName ?? Path.Combine(file.DirectoryName!, "schema.json"), "--schema"));
                var shape = StudentConfig.Parse(Read(parsed.GetValue(student)?.FullName ?? Path.Combine(file.DirectoryName!, "student.json"), "--student"));
                var settings = DistillerConfig.Parse(Read(file.FullName, "--config"));
                NativeLibraries.Require(settings.Threads);
                var result = Run(features, shape, settings, parsed.GetValue(repository)!.FullName, parsed.GetValue(state)!.FullName,
                    parsed.GetValue(version), parsed.GetValue(output)?.FullName);
                Console.WriteLine($"version {parsed.GetValue(version)}: {result.Batches} batches, {result.Entries} entries after checkpoint {result.FromCheckpoint}");
                Console.WriteLine(result.Difference is null ? "rebuilt bit for bit: every file and the manifest are those published" : $"DIFFERENT: {result.Difference}; rebuilt in {result.Folder}");
                return result.Difference is null ? 0 : 1;
            }
            catch (ContractException e)
            {
                DistillerLog.Error(e.Message);
                return 2;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or DllNotFoundException)
            {
                DistillerLog.Error(e.Message);
                return 1;
            }
        });
        return command;
    }

    /// <summary>Rebuilds a version.</summary>
    /// <param name="output">Null: a temporary folder, removed unless something differs.</param>
    /// <exception cref="ContractException">What it needs is not there.</exception>
    public static ReplayResult Run(FeatureSchema schema, StudentConfig student, DistillerConfig config, string repositoryFolder, string stateFolder, long version, string? output)
    {
        var model = config.Model!;
        var repository = new ModelRepository(repositoryFolder);
        // Only its decoding is used: nothing here reads Redis.
        var sources = DistillationLoop.Sources(redis: null!, schema, config);
        using var trainer = new Trainer(schema, student, config, [.. sources.Select(s => s.StreamKey)], new(repository, model, config.Refresh), null);
        var checkpointing = new Checkpointing(new(Path.Combine(stateFolder, "checkpoints"), config.Checkpoint.Keep), config.Checkpoint, schema, model);
        var weights = new PublishedWeights(Path.Combine(stateFolder, "published"), repository, model, schema, student);
        var folder = output ?? Directory.CreateTempSubdirectory("kd-replay-").FullName;
        Directory.CreateDirectory(folder);
        if (Directory.EnumerateFileSystemEntries(folder).Any())
            throw new ContractException("--out", $"{folder} is not empty");
        ReplayResult? result = null;
        try
        {
            return result = new Replay(trainer, checkpointing, sources, weights, repository, model).Run(version, folder);
        }
        finally
        {
            if (output is null && result?.Difference is null)
                Directory.Delete(folder, recursive: true);
        }
    }

    private static string Read(string path, string option) => File.Exists(path)
        ? File.ReadAllText(path)
        : throw new ContractException(option, $"no file {path}");
}
