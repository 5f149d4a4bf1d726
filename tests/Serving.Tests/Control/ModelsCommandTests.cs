using KdServing.Contracts;
using KdServing.Serving.Control.Commands;

namespace KdServing.Serving.Tests.Control;

public sealed class ModelsCommandTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly SampleStudent sample = new("mlp");

    public ModelsCommandTests()
    {
        var repository = new ModelRepository(folder.Path);
        sample.Publish(repository);
        sample.Learn(2);
        sample.Publish(repository);
    }

    public void Dispose()
    {
        folder.Dispose();
        sample.Dispose();
    }

    [Fact]
    public void List_names_every_version()
    {
        var lines = Run(0, "list", "--repository", folder.Path).Split('\n', StringSplitOptions.RemoveEmptyEntries);

        Assert.Equal(["MODEL", "VERSION", "KIND", "BASE"], Words(lines[0])[..4]);
        Assert.Equal(["sample", "1", "base", "1"], Words(lines[1])[..4]);
        Assert.Equal(["sample", "2", "delta", "1"], Words(lines[2])[..4]);
        Assert.Equal(3, lines.Length);
    }

    [Fact]
    public void A_damaged_version_does_not_hide_the_others()
    {
        File.WriteAllText(Path.Combine(folder["sample"], "1", "manifest.json"), "{ ");

        var lines = Run(1, "list", "--repository", folder.Path).Split('\n', StringSplitOptions.RemoveEmptyEntries);

        Assert.Equal(["sample", "1", "DAMAGED", "manifest:"], Words(lines[1])[..4]);
        Assert.Equal(["sample", "2", "delta", "1"], Words(lines[2])[..4]);
    }

    [Fact]
    public void Show_says_what_a_version_rests_on_and_finds_damage()
    {
        Assert.DoesNotContain("DAMAGED", Show());
        File.AppendAllText(Path.Combine(folder["sample"], "2", "head.onnx"), "x");

        var text = Show(exitCode: 1);

        Assert.Contains("sample version 2, a delta", text);
        Assert.Contains("rows         1 + 2", text);
        Assert.Contains("teacher      sample_teacher version 1100", text);
        Assert.Contains("version 1100, click: 500 records, learned as 0.5 · logit - 0.25, 20 % of the jump handed on", text);
        Assert.Contains("teacher_gauc 0.8125", text);
        Assert.Contains("DAMAGED FILE head.onnx", text);
        Assert.DoesNotContain("DAMAGED FILE rows.bin", text);
    }

    [Fact]
    public void A_repository_or_model_that_is_not_there_is_an_error_in_words()
    {
        Assert.Contains("--repository: no folder", Run(1, "list", "--repository", folder["nowhere"]));
        Assert.Contains("--model: 'other' has no version", Run(1, "show", "--repository", folder.Path, "--model", "other"));
    }

    private string Show(int exitCode = 0) => Run(exitCode, "show", "--repository", folder.Path, "--model", "sample");

    private static string Run(int exitCode, params string[] arguments)
    {
        using var output = new StringWriter();
        var result = ModelsCommand.Create().Parse(arguments);
        Assert.Equal(exitCode, result.Invoke(new() { Output = output, Error = output }));
        return output.ToString();
    }

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
