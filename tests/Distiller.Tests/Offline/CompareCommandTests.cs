using System.Text.Json;
using KdServing.Distiller.Offline;

namespace KdServing.Distiller.Tests.Offline;

public sealed class CompareCommandTests
{
    private const string Settings = """
        { "model": "tiny", "batch_records": 16, "optimizer": { "dense": { "learning_rate": 0.01 }, "embedding": { "learning_rate": 0.3 } },
          "offline": { "epochs": 4, "patience": 2, "inner_share": 0.1, "unexposed": 1, "unexposed_draws": 2, "probes": 20, "probe_candidates": 20,
            "presets": { "bce_soft": { "loss_weight": 2 }, "ensemble": { "teachers": [ "member_0", "member_1" ] } } } }
        """;

    [Fact]
    public void The_json_holds_every_student_and_what_was_chosen()
    {
        using var data = new OfflineFixture(Settings);
        string[] arguments = ["--data", data.Path, "--cache", data["cache"], "--json", data["report.json"],
            "--presets", "bce_soft,bce_soft+unexposed,unexposed,ensemble,pfd", "--seeds", "2"];

        var (exit, output, error) = data.Run(CompareCommand.Create(), arguments);

        Assert.True(exit == 0, error);
        var report = JsonDocument.Parse(File.ReadAllText(data["report.json"])).RootElement;
        foreach (var metric in new[] { "auc", "gauc", "logloss", "overlap_at_10", "calibration" })
        {
            Assert.True(report.GetProperty("teacher").GetProperty(metric).GetProperty("mean").GetDouble() > 0);
            Assert.True(report.GetProperty("labels_only").GetProperty(metric).GetProperty("sd").GetDouble() >= 0);
        }
        var presets = report.GetProperty("presets").EnumerateArray().ToDictionary(p => p.GetProperty("name").GetString()!);
        Assert.Equal(["bce_soft", "bce_soft+unexposed", "ensemble", "unexposed"], presets.Keys.Order());
        Assert.All(presets.Values, p => Assert.True(p.GetProperty("transfer_ratio") is { ValueKind: JsonValueKind.String } text
            ? text.GetString() == "undefined"
            : p.GetProperty("transfer_ratio").GetProperty("lo95").GetDouble() <= p.GetProperty("transfer_ratio").GetProperty("mean").GetDouble()));
        Assert.Contains("privileged", report.GetProperty("skipped").GetProperty("pfd").GetString());
        var chosen = report.GetProperty("chosen").GetString()!;
        Assert.Equal(presets.Values.Max(p => p.GetProperty("inner_auc").GetProperty("mean").GetDouble()), presets[chosen].GetProperty("inner_auc").GetProperty("mean").GetDouble());
        Assert.Contains("transfer ratio", output);

        // What is finished is read, not trained: the figures of time are the same too.
        Assert.Equal(0, data.Run(CompareCommand.Create(), arguments).Exit);
        Assert.Equal(report.ToString(), JsonDocument.Parse(File.ReadAllText(data["report.json"])).RootElement.ToString());
    }

    [Fact]
    public void Data_without_a_validation_part_is_replayed_in_event_order()
    {
        using var data = new OfflineFixture(Settings);
        File.WriteAllText(data["dataset.json"], File.ReadAllText(data["dataset.json"])
            .Replace(""" "split": { "replay": { "files": [ "train.csv" ] }, "validation": { "files": [ "valid.csv" ] } } """,
                """ "split": { "preparation": { "files": [ "valid.csv" ] }, "replay": { "files": [ "train.csv" ] } } """));

        var (exit, _, error) = data.Run(CompareCommand.Create(), "--data", data.Path, "--cache", data["cache"], "--json", data["report.json"],
            "--presets", "bce_soft", "--seeds", "1", "--impressions", "200");

        Assert.True(exit == 0, error);
        var preset = JsonDocument.Parse(File.ReadAllText(data["report.json"])).RootElement.GetProperty("presets")[0];
        Assert.Equal(2, preset.GetProperty("gauc_gain_95").GetArrayLength());
    }

    [Fact]
    public void An_unknown_preset_is_refused_with_the_known_ones()
    {
        using var data = new OfflineFixture(Settings);

        var (exit, _, error) = data.Run(CompareCommand.Create(), "--data", data.Path, "--presets", "rockets");

        Assert.Equal(2, exit);
        Assert.Contains("'rockets' is unknown; all, or any of bce_soft", error);
    }
}
