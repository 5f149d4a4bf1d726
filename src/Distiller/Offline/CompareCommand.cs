using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Methods;

namespace KdServing.Distiller.Offline;

/// <summary><c>distill compare</c>: the same student with each preset and without a teacher.</summary>
public static class CompareCommand
{
    private const int MaxSeeds = 1000;

    public static Command Create()
    {
        var files = new OfflineFiles();
        var presets = new Option<string>("--presets")
        {
            Description = $"Names with commas between them, or '{Contender.AllName}': {string.Join(", ", PresetCatalogue.Names)}. "
                + $"NAME{Contender.UnexposedSuffix} learns from the teacher's opinion of unexposed candidates too.",
            DefaultValueFactory = _ => Contender.AllName,
        };
        var seeds = Count("--seeds", "Seeds of each student; the twins of a seed begin with equal weights and see equal batches.", 3);
        var chosenSeeds = Count("--chosen-seeds", "Seeds of labels only and of the preset that the inner split chose; by default as --seeds.", 0);
        var impressions = Count("--impressions", "Data without a validation part is replayed once in event order: impressions to replay.", 40_000);
        var json = new Option<FileInfo?>("--json") { Description = "Write the figures to this file." };
        var command = new Command("compare", "Trains the same student with each preset and without a teacher, over several seeds, and says what the teacher was worth.")
        {
            presets, seeds, chosenSeeds, impressions, json,
        };
        files.AddTo(command);
        command.SetAction((parsed, cancellation) => Task.Run(() => OfflineExit.Of(parsed, "finished runs are kept, and the same command goes on with the others", () =>
        {
            var contenders = Contender.Parse(parsed.GetRequiredValue(presets));
            var inputs = files.Read(parsed);
            NativeLibraries.Require(inputs.Config.Threads);
            using var bar = new ProgressBar();
            var count = parsed.GetValue(seeds);
            var plan = new ComparisonPlan(contenders, Math.Max(1, count), Math.Max(parsed.GetValue(chosenSeeds), Math.Max(1, count)));
            var report = plan.Run(inputs, parsed.GetValue(impressions), bar, cancellation);
            ComparisonTable.Write(parsed.InvocationConfiguration.Output, report);
            if (parsed.GetValue(json) is { } file)
                File.WriteAllText(file.FullName, JsonSerializer.Serialize(report, ContractJson.Options) + "\n");
        }), CancellationToken.None));
        return command;
    }

    private static Option<int> Count(string name, string description, int value)
    {
        var option = new Option<int>(name) { Description = description, DefaultValueFactory = _ => value };
        option.Validators.Add(r =>
        {
            if (r.Errors.Any() || r.Tokens.Count == 0)
                return;
            if (!int.TryParse(r.Tokens[0].Value, CultureInfo.InvariantCulture, out var given) || given < 1)
                r.AddError($"{name} must be 1 or more");
            else if (name.EndsWith("seeds", StringComparison.Ordinal) && given > MaxSeeds)
                r.AddError($"{name} must be at most {MaxSeeds}");
        });
        return option;
    }
}
