using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Methods;

/// <summary>What a user sees of the presets: the command, the documentation, and the errors of a configuration.</summary>
public sealed class PresetsCommandTests
{
    public static TheoryData<string> Names => [.. PresetCatalogue.Names];

    [Fact]
    public void All_presets_are_listed()
    {
        var (status, output, _) = Run("list", "--json");

        Assert.Equal(0, status);
        using var json = JsonDocument.Parse(output);
        Assert.Equal(PresetCatalogue.Names, json.RootElement.EnumerateArray().Select(p => p.GetProperty("name").GetString()));
    }

    // What is shown can be pasted into distiller.json.
    [Theory]
    [MemberData(nameof(Names))]
    public void What_is_shown_is_understood(string preset)
    {
        var (status, output, _) = Run("show", preset);

        Assert.Equal(0, status);
        var config = DistillerConfig.Parse($$"""{ "model": "tiny", {{output}} }""");
        var fault = Record.Exception(() => TaughtImpressions.Learner(config).Dispose());
        // An ensemble's teachers have no default.
        Assert.Equal(preset == "ensemble", fault is ContractException { Field: "ensemble.teachers" });
        Assert.True(fault is null || preset == "ensemble", fault?.Message);
    }

    [Fact]
    public void An_unknown_preset_is_a_mistake()
    {
        var (status, _, error) = Run("show", "rockets");

        Assert.Equal(2, status);
        Assert.Contains("'rockets' is unknown; one of bce_soft, hinton", error, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_preset_is_documented(string preset) => Assert.Contains($"| `{preset}` |", Documentation, StringComparison.Ordinal);

    [Theory]
    [InlineData(""" "preset": "rockets" """, "preset", "one of bce_soft")]
    [InlineData(""" "preset": "rocket", "kd": [{ "loss_type": "L2_LOSS" }] """, "kd", "must be empty with preset 'rocket'")]
    [InlineData(""" "rocket": { "lambda": 1 } """, "rocket", "set preset to 'rocket'")]
    [InlineData(""" "preset": "pfd", "rocket": { "lambda": 1 } """, "rocket", "set preset to 'rocket'")]
    [InlineData(""" "presets": "rocket" """, "presets", "is unknown; one of model")]
    [InlineData(""" "preset": "rocket", "rocket": { "lambda": -1 } """, "rocket.lambda", "0 or more")]
    [InlineData(""" "preset": "rocket", "rocket": { "layers": [] } """, "rocket.layers", "at least one")]
    [InlineData(""" "preset": "rocket", "rocket": { "own_embeddings": ["user_id"] } """, "rocket.own_embeddings", "leave it out")]
    [InlineData(""" "preset": "rocket", "rocket": { "feature_hint": "cosine" } """, "rocket.layers", "width 8")]
    [InlineData(""" "preset": "rocket", "rocket": { "share": "both" } """, "rocket.share", "wrong kind")]
    [InlineData(""" "preset": "pfd_star", "pfd_star": { "own_embeddings": ["price"] } """, "pfd_star.own_embeddings[0]", "user_id, history, item_id")]
    [InlineData(""" "preset": "pfd", "pfd": { "lambda": 2 } """, "pfd.lambda", "from 0 to 1")]
    [InlineData(""" "preset": "pfd", "hard_label": { "weight_schedule": { "to": 0 } } """, "hard_label.weight_schedule", "schedule of its own")]
    [InlineData(""" "preset": "hinton", "hinton": { "temperature": 0 } """, "hinton.temperature", "above 0")]
    [InlineData(""" "preset": "l2_logit", "l2_logit": { "temperature": 2 } """, "l2_logit.temperature", "not used")]
    [InlineData(""" "preset": "ensemble", "ensemble": { "teachers": ["a", "a"] } """, "ensemble.teachers", "two different")]
    [InlineData(""" "preset": "rkd", "rkd": { "hidden_from": "stream" } """, "rkd.hidden_width", "width of the streamed")]
    [InlineData(""" "preset": "rkd", "rkd": { "hidden_width": 3 } """, "rkd.hidden_width", "hidden_from to stream")]
    [InlineData(""" "preset": "feature_hint", "feature_hint": { "dimension_weights": [1, 2] } """, "feature_hint.dimension_weights", "width 64")]
    [InlineData(""" "preset": "fitnets", "fitnets": { "hint_steps": -1 } """, "fitnets.hint_steps", "0 or more")]
    [InlineData(""" "preset": "self_distillation", "self_distillation": { "layers": [0] } """, "self_distillation.layers[0]", "from 1 to 4096")]
    [InlineData(""" "preset": "teacher_age", "teacher_age": { "half_life_versions": 0 } """, "teacher_age.half_life_versions", "above 0")]
    public void A_mistake_is_named_with_its_remedy(string fields, string field, string remedy)
    {
        var fault = Assert.Throws<ContractException>(() => TaughtImpressions.Learner(DistillerConfig.Parse($$"""{ "model": "tiny", {{fields}} }""")).Dispose());

        Assert.Equal(field, fault.Field);
        Assert.Contains(remedy, fault.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("feature_hint")]
    [InlineData("rkd")]
    [InlineData("ftd")]
    [InlineData("htd")]
    [InlineData("de")]
    [InlineData("info_nce")]
    public void Vectors_of_the_stream_teach_too(string preset)
    {
        using var learner = TaughtImpressions.Learner(preset, $"\"hidden_from\": \"stream\", \"hidden_width\": {TaughtImpressions.HiddenWidth}, \"logit_weight\": 0");
        var batch = TaughtImpressions.Batch(learner, 0, 8, record =>
        {
            // The first record's teacher sends no vectors: it is left out, the others are not.
            if (record.RequestId == "request-0")
            {
                record.Outputs[0].HiddenWidth = 0;
                record.Outputs[0].Hidden.Clear();
            }
        });
        var logits = new float[batch.Candidates];
        learner.ScoreAndLearn(batch, logits);

        Assert.DoesNotContain(learner.NamedParameters, p => p.Name.StartsWith("method.joint", StringComparison.Ordinal));
        Assert.Contains(learner.Losses, l => l.Key != "hard" && l.Value != 0);
    }

    private static string Documentation
    {
        get
        {
            var folder = new DirectoryInfo(AppContext.BaseDirectory);
            while (!File.Exists(Path.Combine(folder!.FullName, "KdServing.sln")))
                folder = folder.Parent;
            return File.ReadAllText(Path.Combine(folder.FullName, "docs", "presets.md"));
        }
    }

    private static (int Status, string Output, string Error) Run(params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var status = PresetsCommand.Create().Parse(arguments).Invoke(new() { Output = output, Error = error });
        return (status, output.ToString(), error.ToString());
    }
}
