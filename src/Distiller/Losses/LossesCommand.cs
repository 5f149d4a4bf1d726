using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Losses;

/// <summary><c>losses eval</c> and <c>losses list</c>: what a <c>kd</c> list does, before anything is trained with it.</summary>
public static class LossesCommand
{
    private const int BadConfiguration = 2;
    private static readonly JsonSerializerOptions JsonOutput = new(ContractJson.Options);

    public static Command Create()
    {
        var config = new Option<FileInfo>("--config") { Description = """distiller.json, or a file with just {"kd": [ … ]}.""", Required = true };
        var table = new Option<FileInfo>("--table")
        {
            Description = """
                Rows to evaluate, by column: {"columns": {"logits": [0.5, -1.2], "kd_soft": [1.0, -2.0], "session": ["a", "a"]}}.
                pred_name, soft_label_name, session_name and the other names of the kd entries name its columns. A cell is a number,
                an array of numbers (one a class), a text (sessions, task spaces), or null where a teacher or a label is silent.
                """,
            Required = true,
        };
        var json = new Option<bool>("--json") { Description = """Print {"losses": [{"loss_name", "loss_type", "value", "gradient"}]}.""" };
        var eval = new Command("eval", "Prints each loss' value, times its loss_weight, and its gradient by row, in float64.") { config, table, json };
        eval.SetAction(result => Run(result, () =>
        {
            var kd = Kd(Read(result.GetRequiredValue(config), "--config"));
            var reports = new LossEvaluation(LossTable.Parse(Read(result.GetRequiredValue(table), "--table"))).Evaluate(kd);
            var output = result.InvocationConfiguration.Output;
            if (result.GetValue(json))
                output.WriteLine(JsonSerializer.Serialize(new { losses = reports }, JsonOutput));
            else
                Print(output, reports);
        }));

        var list = new Command("list", "Lists the loss types that a kd entry can have.");
        list.SetAction(result => Run(result, () => result.InvocationConfiguration.Output.WriteLine(string.Join(Environment.NewLine, LossCatalogue.Names))));
        return new Command("losses", "Checks distillation losses on a small table, before training.") { eval, list };
    }

    private static int Run(ParseResult result, Action action)
    {
        try
        {
            action();
            return 0;
        }
        catch (Exception e) when (e is ContractException or IOException or UnauthorizedAccessException)
        {
            result.InvocationConfiguration.Error.WriteLine(e.Message);
            return BadConfiguration;
        }
    }

    private static IReadOnlyList<KdLossConfig> Kd(string json)
    {
        try
        {
            var options = new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };
            if (JsonNode.Parse(json, documentOptions: options) is not JsonObject root || root["kd"] is not JsonArray { Count: > 0 } kd)
                throw new ContractException("kd", """is missing or empty; --config must hold {"kd": [ … ]}""");
            // A whole distiller.json is held to all its rules.
            return root.Count == 1 ? Entries(kd) : DistillerConfig.Parse(json).Kd;
        }
        catch (JsonException e)
        {
            throw new ContractException("--config", $"is not valid: {e.Message}");
        }
    }

    private static List<KdLossConfig> Entries(JsonArray kd)
    {
        try
        {
            return kd.Deserialize<List<KdLossConfig>>(ContractJson.Options)!;
        }
        catch (JsonException e)
        {
            throw new ContractException($"kd{e.Path?[1..]}", "has a value of the wrong kind");
        }
    }

    private static string Read(FileInfo file, string option) => file.Exists
        ? File.ReadAllText(file.FullName)
        : throw new ContractException(option, $"no file {file.FullName}");

    private static void Print(TextWriter output, IReadOnlyList<LossReport> reports)
    {
        var width = Math.Max(4, reports.Max(r => r.LossName.Length));
        output.WriteLine($"{"LOSS".PadRight(width)}  {"TYPE",-26}  {"VALUE",13}  COMPARES");
        foreach (var report in reports)
            output.WriteLine($"{report.LossName.PadRight(width)}  {report.LossType,-26}  {Text(report.Value),13}  {report.Columns.Prediction} with {report.Columns.SoftLabel}");
        output.WriteLine();
        output.WriteLine("Gradient of each loss by row");
        var columns = reports.Select(r => r.Gradient.Select(Cell).ToList()).ToList();
        var widths = reports.Select((r, k) => Math.Max(r.LossName.Length, columns[k].Select(c => c.Length).DefaultIfEmpty().Max())).ToList();
        output.WriteLine($"{"ROW",4}{string.Concat(reports.Select((r, k) => "  " + r.LossName.PadLeft(widths[k])))}");
        for (var row = 0; row < columns[0].Count; row++)
            output.WriteLine($"{row,4}{string.Concat(columns.Select((c, k) => "  " + c[row].PadLeft(widths[k])))}");
    }

    private static string Cell(object gradient) => gradient is double[] vector ? $"[{string.Join(" ", vector.Select(Text))}]" : Text((double)gradient);

    private static string Text(double value) => value.ToString("0.00000000", CultureInfo.InvariantCulture);
}
