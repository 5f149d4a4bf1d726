using System.CommandLine;
using System.Globalization;
using KdServing.Contracts;

namespace KdServing.Distiller.Publishing;

/// <summary><c>models list</c> and <c>models show</c>: what is in a model repository.</summary>
public static class ModelsCommand
{
    public static Command Create()
    {
        var repository = new Option<string>("--repository") { Description = "Folder of the model repository.", Required = true };
        var model = new Option<string?>("--model") { Description = "Name of one model; by default all." };
        var list = new Command("list", "Lists the versions, oldest first.") { repository, model };
        list.SetAction(result => Run(result, output => List(output, result.GetRequiredValue(repository), result.GetValue(model))));

        var version = new Option<long?>("--version") { Description = "Version to show; by default the newest." };
        var shownModel = new Option<string>("--model") { Description = "Name of the model.", Required = true };
        var show = new Command("show", "Shows what a version is, what it has learned from, and verifies its files.") { repository, shownModel, version };
        show.SetAction(result => Run(result,
            output => Show(output, result.GetRequiredValue(repository), result.GetRequiredValue(shownModel), result.GetValue(version))));

        return new Command("models", "Looks into a model repository.") { list, show };
    }

    private static int Run(ParseResult result, Func<TextWriter, bool> action)
    {
        try
        {
            return action(result.InvocationConfiguration.Output) ? 0 : 1;
        }
        catch (ContractException e)
        {
            result.InvocationConfiguration.Error.WriteLine(e.Message);
            return 1;
        }
    }

    /// <returns>False when a version can not be read; the others are listed all the same.</returns>
    private static bool List(TextWriter output, string root, string? model)
    {
        var repository = Open(root);
        string[] models = model is not null ? [model] : [.. Directory.EnumerateDirectories(repository.Root).Select(p => Path.GetFileName(p)!).Order()];
        output.WriteLine(Row("MODEL", "VERSION", "KIND", "BASE", "CREATED (UTC)", "RECORDS", "GAUC", "MB"));
        var intact = true;
        foreach (var name in models)
        {
            foreach (var version in repository.Versions(name))
            {
                VersionManifest manifest;
                try
                {
                    manifest = repository.Manifest(name, version);
                }
                catch (ContractException e)
                {
                    intact = false;
                    output.WriteLine($"{Row(name, Text(version), "DAMAGED", "", "", "", "", "")} {e.Message}");
                    continue;
                }
                output.WriteLine(Row(name, Text(version), Kind(manifest), Text(manifest.BaseVersion), Time(manifest.CreatedAtMs),
                    Text(manifest.RecordsLearned), manifest.Metrics.TryGetValue("gauc", out var gauc) ? Text(gauc, "0.0000") : "",
                    Text(manifest.Files.Values.Sum(f => f.Bytes) / 1e6, "0.00")));
            }
        }
        return intact;
    }

    /// <returns>False when a file is damaged.</returns>
    private static bool Show(TextWriter output, string root, string model, long? wanted)
    {
        var repository = Open(root);
        var versions = repository.Versions(model);
        if (versions.Count == 0)
            throw new ContractException("--model", $"'{model}' has no version in this repository");
        var manifest = repository.Manifest(model, wanted ?? versions[^1]);
        var signature = manifest.Signature;
        output.WriteLine($"{model} version {manifest.Version}, a {Kind(manifest)} of {Time(manifest.CreatedAtMs)} UTC");
        output.WriteLine($"  schema       {manifest.SchemaFingerprint}");
        output.WriteLine($"  student      {signature.Family}: user {signature.UserWidth} → {signature.UserPartWidth}, item {signature.ItemWidth} → {signature.ItemVectorWidth}, live {signature.LiveWidth}, targets {string.Join(", ", signature.Targets)}");
        output.WriteLine($"  rows         {string.Join(" + ", repository.Chain(manifest).Select(m => Text(m.Version)))}");
        output.WriteLine($"  learned      {Text(manifest.RecordsLearned)} records, event time up to {Time(manifest.WatermarkMs)} UTC");
        foreach (var (key, id) in manifest.Position)
            output.WriteLine($"  position     {key} {id}");
        foreach (var (teacher, version) in manifest.TeacherVersions)
            output.WriteLine($"  teacher      {teacher} version {Text(version)}");
        foreach (var (metric, value) in manifest.Metrics)
            output.WriteLine($"  metric       {metric} {Text(value, "G6")}");
        var damaged = 0;
        foreach (var (file, description) in manifest.Files)
        {
            var intact = IsIntact(repository, manifest, file);
            damaged += intact ? 0 : 1;
            output.WriteLine($"  {(intact ? "file         " : "DAMAGED FILE ")}{file} {Text(description.Bytes)} bytes");
        }
        return damaged == 0;
    }

    private static ModelRepository Open(string root) => Directory.Exists(root)
        ? new(root)
        : throw new ContractException("--repository", $"no folder {root}");

    private static bool IsIntact(ModelRepository repository, VersionManifest manifest, string file)
    {
        try
        {
            repository.ReadVerified(manifest, file);
            return true;
        }
        catch (ContractException)
        {
            return false;
        }
    }

    private static string Row(string model, string version, string kind, string rowBase, string created, string records, string gauc, string mb) =>
        $"{model,-20} {version,8} {kind,-6} {rowBase,8} {created,-20} {records,12} {gauc,7} {mb,9}".TrimEnd();

    private static string Kind(VersionManifest manifest) => manifest.Kind == VersionKind.Base ? "base" : "delta";

    private static string Time(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    private static string Text(IFormattable value, string? format = null) => value.ToString(format, CultureInfo.InvariantCulture);
}
