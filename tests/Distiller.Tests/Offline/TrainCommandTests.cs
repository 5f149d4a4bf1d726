using KdServing.Contracts;
using KdServing.Distiller.Offline;

namespace KdServing.Distiller.Tests.Offline;

public sealed class TrainCommandTests
{
    private const string Settings = """
        { "model": "tiny", "batch_records": 16,
          "kd": [ { "loss_type": "BINARY_CROSS_ENTROPY_LOSS", "pred_name": "logits", "soft_label_name": "SOFT" } ],
          "optimizer": { "dense": { "learning_rate": 0.01 }, "embedding": { "learning_rate": 0.3 } },
          "offline": { "epochs": 3, "patience": 9, "inner_share": 0.1, "unexposed": UNEXPOSED, "unexposed_draws": 2, "probes": 20, "probe_candidates": 20 } }
        """;

    private static string Config(string soft, double unexposed = 0) =>
        Settings.Replace("SOFT", soft).Replace("UNEXPOSED", unexposed.ToString(System.Globalization.CultureInfo.InvariantCulture));

    [Theory]
    [InlineData(0)]
    [InlineData(1.5)]
    public void A_training_that_was_stopped_again_and_again_ends_with_the_same_bits(double unexposed)
    {
        using var data = new OfflineFixture(Config("teacher_logits", unexposed));
        var inputs = Inputs(data);
        new TrainRun(inputs, data["whole"], null, new()).Run(false, TextWriter.Null, CancellationToken.None);

        var (resume, stops) = (false, 0);
        while (true)
        {
            // Stops between two steps, wherever the count happens to fall: inside epochs and at their ends.
            using var stop = new CancellationTokenSource();
            var writer = new TrainRun(inputs, data["parts"], null, new()) { AfterStep = steps => { if (steps == 7 + stops) stop.Cancel(); } };
            try
            {
                writer.Run(resume, TextWriter.Null, stop.Token);
                break;
            }
            catch (OperationCanceledException)
            {
                (resume, stops) = (true, stops + 1);
            }
        }

        Assert.True(stops > 3, $"it was stopped {stops} times");
        Assert.Equal(File.ReadAllBytes(data["whole/train.safetensors"]), File.ReadAllBytes(data["parts/train.safetensors"]));
        Assert.Equal(File.ReadAllBytes(data["whole/best.safetensors"]), File.ReadAllBytes(data["parts/best.safetensors"]));
    }

    [Fact]
    public void Soft_labels_of_a_column_are_learned_and_a_version_is_published()
    {
        using var data = new OfflineFixture(Config("column/click"), softLabel: (user, item, _) => user % 4 == item % 4 ? 3 : -3);

        var (exit, output, error) = data.Run(TrainCommand.Create(), "--data", data.Path, "--state", data["state"], "--repository", data["models"], "--cache", data["cache"], "--epochs", "25");

        Assert.True(exit == 0, error);
        Assert.Contains("validation AUC", output);
        var repository = new ModelRepository(data["models"]);
        Assert.Equal([1L], repository.Versions("tiny"));
        Assert.True(repository.Manifest("tiny", 1).Metrics["auc"] > 0.9);
    }

    [Fact]
    public void A_state_of_other_inputs_is_not_gone_on_with()
    {
        using var data = new OfflineFixture(Config("column/click"), softLabel: (_, _, _) => 0);
        string[] arguments = ["--data", data.Path, "--state", data["state"], "--cache", data["cache"]];
        Assert.Equal(0, data.Run(TrainCommand.Create(), [.. arguments, "--epochs", "1"]).Exit);

        Assert.Contains("--continue", Refused(arguments));
        File.WriteAllText(data["distiller.json"], Config("column/click").Replace("0.01", "0.02"));
        Assert.Contains("of other data or another configuration", Refused([.. arguments, "--continue"]));
        Assert.Contains("holds no training", Refused("--data", data.Path, "--state", data["nothing"], "--continue"));

        string Refused(params string[] given)
        {
            var (exit, _, error) = data.Run(TrainCommand.Create(), given);
            Assert.Equal(2, exit);
            return error;
        }
    }

    [Fact]
    public void A_teacher_the_data_lacks_is_named()
    {
        using var data = new OfflineFixture(Config("ranker/click"), softLabel: (_, _, _) => 0);

        var (exit, _, error) = data.Run(TrainCommand.Create(), "--data", data.Path, "--state", data["state"], "--cache", data["cache"]);

        Assert.Equal(2, exit);
        Assert.Contains("'ranker' is no teacher of this data; it has column", error);
    }

    private static OfflineInputs Inputs(OfflineFixture data)
    {
        var reader = Datasets.DatasetReader.Open(data.Path, data.Path);
        return new(reader, FeatureSchema.Load(data["schema.json"]), Distiller.Students.StudentConfig.Parse(File.ReadAllText(data["student.json"])),
            Distiller.Training.DistillerConfig.Parse(File.ReadAllText(data["distiller.json"])), Teachers.TeacherConfig.Load(data["teacher.json"]), data["cache"]);
    }
}
