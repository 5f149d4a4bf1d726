using System.CommandLine;
using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Distiller.Offline.EasyRec;

/// <summary><c>distill import-easyrec</c>: EasyRec's kd blocks as a distiller.json.</summary>
public static class ImportCommand
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Create()
    {
        var file = new Argument<FileInfo>("pipeline.config") { Description = "EasyRec's configuration in protobuf's text format: a whole one, a model_config, or bare kd blocks." };
        var output = new Option<FileInfo?>("--out") { Description = "File to write; by default standard output." };
        var model = new Option<string?>("--model") { Description = "Name of the model; by default the last part of model_dir." };
        var target = new Option<string?>("--target")
        {
            Description = "Make names those of training here: soft_label_name becomes NAME/TARGET (a column that dataset.json lists under soft_labels), session_name becomes request_id.",
        };
        var command = new Command("import-easyrec", "Reads EasyRec's kd blocks and writes them as distiller.json, field for field; lists what has no counterpart.")
        {
            file, output, model, target,
        };
        command.SetAction(parsed => OfflineExit.Of(parsed, "nothing was written", () =>
        {
            var source = parsed.GetRequiredValue(file);
            if (!source.Exists)
                throw new ContractException("pipeline.config", $"no file {source.FullName}");
            EasyRecImport import;
            try
            {
                import = EasyRecImport.Of(File.ReadAllText(source.FullName), parsed.GetValue(model) is { } name ? Identifier.Require(name, "--model") : null, parsed.GetValue(target));
            }
            catch (TextFormatException e)
            {
                throw new ContractException($"{source.Name}:{e.Position}", e.Message[(e.Position.ToString().Length + 2)..]);
            }
            var json = import.Json.ToJsonString(Indented) + "\n";
            if (parsed.GetValue(output) is { } into)
                File.WriteAllText(into.FullName, json);
            else
                parsed.InvocationConfiguration.Output.Write(json);
            var error = parsed.InvocationConfiguration.Error;
            error.WriteLine($"{source.Name}: {import.Json["kd"]!.AsArray().Count} kd block(s) imported");
            foreach (var note in import.Notes)
                error.WriteLine($"{source.Name}:{note}");
            foreach (var (name, count, first) in import.NotImported)
                error.WriteLine($"{source.Name}:{first}: not imported: {name}{(count > 1 ? $" (and {count - 1} more)" : "")}");
        }));
        return command;
    }
}
