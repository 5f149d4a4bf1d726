using System.Text.Json;
using KdServing.Distiller.Losses;

namespace KdServing.Distiller.Tests.Losses;

public sealed class LossesCommandTests : IDisposable
{
    private const string Kd = """
        "kd": [
          { "loss_name": "close", "loss_type": "L2_LOSS", "pred_name": "logits", "soft_label_name": "soft" },
          { "loss_type": "PAIRWISE_HINGE_LOSS", "pred_name": "logits", "soft_label_name": "soft", "pairwise_hinge_loss": { "session_name": "session" } } ]
        """;

    private readonly TemporaryFolder folder = new();

    public LossesCommandTests() => File.WriteAllText(folder["rows.json"], Tables.Sessions);

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Json_holds_the_value_and_gradient_of_every_loss()
    {
        var losses = JsonDocument.Parse(Eval(0, $"{{ {Kd} }}", "--json").Output).RootElement.GetProperty("losses");

        Assert.Equal(2, losses.GetArrayLength());
        Assert.Equal("close", losses[0].GetProperty("loss_name").GetString());
        Assert.Equal("kd_loss_logits_soft", losses[1].GetProperty("loss_name").GetString());
        Assert.Equal("PAIRWISE_HINGE_LOSS", losses[1].GetProperty("loss_type").GetString());
        Assert.Equal(1.275, losses[1].GetProperty("value").GetDouble(), 1e-9);
        Assert.Equal([-0.5, 0.25, 0.25, 0.25, -0.25], losses[1].GetProperty("gradient").EnumerateArray().Select(g => g.GetDouble()));
    }

    [Fact]
    public void The_gradient_of_a_vector_is_an_array()
    {
        File.WriteAllText(folder["rows.json"], Tables.Classes);

        var json = Eval(0, """{ "kd": [ { "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "logits", "soft_label_name": "soft" } ] }""", "--json").Output;

        var gradient = JsonDocument.Parse(json).RootElement.GetProperty("losses")[0].GetProperty("gradient");
        Assert.Equal([3, 3], gradient.EnumerateArray().Select(row => row.GetArrayLength()));
    }

    [Fact]
    public void People_get_a_table()
    {
        var lines = Eval(0, $"{{ {Kd} }}").Output.Split('\n');

        Assert.Equal(["LOSS", "TYPE", "VALUE", "COMPARES"], Words(lines[0]));
        Assert.Equal(["kd_loss_logits_soft", "PAIRWISE_HINGE_LOSS", "1.27500000", "logits", "with", "soft"], Words(lines[2]));
        Assert.Equal(["ROW", "close", "kd_loss_logits_soft"], Words(lines[5]));
        Assert.Equal("-0.50000000", Words(lines[6])[2]);
    }

    [Theory]
    [InlineData("""{ "kd": [] }""", "kd: is missing or empty")]
    [InlineData("{", "--config: is not valid")]
    [InlineData("""{ "kd": [ { "loss_type": "L2_LOSS", "temperature": "warm" } ] }""", "kd[0].temperature: has a value of the wrong kind")]
    [InlineData("""{ "kd": [ { "loss_type": "L2_LOSS", "pred_name": "logit", "soft_label_name": "soft" } ] }""", "kd[0].pred_name: 'logit' is not a column of the table; one of logits, soft")]
    [InlineData("""{ "model": "m", "kds": 1, "kd": [ { "loss_type": "L2_LOSS" } ] }""", "kds")]
    public void A_wrong_configuration_fails_in_words(string config, string message)
    {
        var (output, error) = Eval(2, config);

        Assert.Empty(output);
        Assert.Contains(message, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_losses_of_one_name_are_refused() => Assert.Contains("kd[1].loss_name: 'kd_loss_logits_soft' is taken", Eval(2, """
        { "kd": [ { "loss_type": "L2_LOSS", "pred_name": "logits", "soft_label_name": "soft" },
                  { "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "logits", "soft_label_name": "soft" } ] }
        """).Error, StringComparison.Ordinal);

    [Fact]
    public void A_whole_distiller_json_is_read_too() =>
        Assert.Contains("PAIRWISE_HINGE_LOSS", Eval(0, $$"""{ "model": "shop", {{Kd}}, "batch_records": 8 }""").Output, StringComparison.Ordinal);

    [Fact]
    public void List_names_every_loss() =>
        Assert.Equal(LossCatalogue.Names, Run(0, "list").Output.Split('\n', StringSplitOptions.RemoveEmptyEntries));

    private (string Output, string Error) Eval(int exitCode, string config, params string[] more)
    {
        File.WriteAllText(folder["distiller.json"], config);
        return Run(exitCode, ["eval", "--config", folder["distiller.json"], "--table", folder["rows.json"], .. more]);
    }

    private static (string Output, string Error) Run(int exitCode, params string[] arguments)
    {
        using var output = new StringWriter { NewLine = "\n" };
        using var error = new StringWriter();
        Assert.Equal(exitCode, LossesCommand.Create().Parse(arguments).Invoke(new() { Output = output, Error = error }));
        return (output.ToString(), error.ToString());
    }

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
