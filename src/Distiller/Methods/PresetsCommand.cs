using System.CommandLine;
using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Distiller.Methods;

/// <summary><c>presets list</c> and <c>presets show</c>: the methods one can switch on by name, and their parameters.</summary>
public static class PresetsCommand
{
    private const int BadConfiguration = 2;

    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = """Print [{"name", "summary", "source", "needs"}].""" };
        var list = new Command("list", "Lists every preset with what it does.") { json };
        list.SetAction(result =>
        {
            var output = result.InvocationConfiguration.Output;
            if (result.GetValue(json))
            {
                output.WriteLine(JsonSerializer.Serialize(PresetCatalogue.All.Select(p => new { p.Name, p.Summary, p.Source, Needs = Needs(p) }), ContractJson.Options));
                return;
            }
            var width = PresetCatalogue.Names.Max(n => n.Length);
            foreach (var preset in PresetCatalogue.All)
                output.WriteLine($"{preset.Name.PadRight(width)}  {preset.Summary}");
        });

        var name = new Argument<string>("NAME") { Description = "A preset of 'presets list'." };
        var show = new Command("show", "Prints a preset as distiller.json switches it on, with every parameter at its default.") { name };
        show.SetAction(result =>
        {
            try
            {
                var preset = PresetCatalogue.Get(result.GetRequiredValue(name));
                var block = JsonSerializer.Serialize(Activator.CreateInstance(preset.OptionsType), preset.OptionsType, ContractJson.Options);
                var output = result.InvocationConfiguration.Output;
                output.WriteLine($"// {preset.Summary}");
                output.WriteLine($"// After {preset.Source}. Needs: {string.Join(", ", Needs(preset).DefaultIfEmpty("records with labels"))}. See docs/presets.md.");
                output.WriteLine($"\"preset\": \"{preset.Name}\",");
                output.WriteLine($"\"{preset.Name}\": {block}");
                return 0;
            }
            catch (ContractException e)
            {
                result.InvocationConfiguration.Error.WriteLine(e.Message);
                return BadConfiguration;
            }
        });
        return new Command("presets", "Lists the distillation methods that distiller.json can name.") { list, show };
    }

    private static IEnumerable<string> Needs(Preset preset) => Enum.GetValues<PresetNeeds>()
        .Where(n => n != PresetNeeds.None && preset.Needs.HasFlag(n))
        .Select(n => JsonNamingPolicy.SnakeCaseLower.ConvertName(n.ToString()));
}
