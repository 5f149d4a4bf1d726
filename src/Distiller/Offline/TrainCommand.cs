using System.CommandLine;

namespace KdServing.Distiller.Offline;

/// <summary><c>distill train</c>: trains a student from files.</summary>
public static class TrainCommand
{
    public static Command Create()
    {
        var files = new OfflineFiles();
        var state = new Option<DirectoryInfo>("--state") { Description = "Folder of the training's state.", DefaultValueFactory = _ => new("state") };
        var repository = new Option<DirectoryInfo?>("--repository") { Description = "Publish the best epoch as a version of this model repository." };
        var resume = new Option<bool>("--continue") { Description = "Go on from the state; bit for bit what an uninterrupted training would have given." };
        var epochs = new Option<int?>("--epochs") { Description = "Epochs at most; by default offline.epochs." };
        epochs.Validators.Add(r =>
        {
            if (r.Tokens.Count > 0 && !(int.TryParse(r.Tokens[0].Value, out var given) && given > 0))
                r.AddError("--epochs must be 1 or more");
        });
        var command = new Command("train", """
            Trains a student from files: soft labels are columns of the data (soft_labels of dataset.json), or the logits of teachers that are
            cross-fitted on it first (offline of teacher.json). Stops when the inner split's AUC no longer rises, and keeps the best epoch.
            """)
        {
            state, repository, resume, epochs,
        };
        files.AddTo(command);
        command.SetAction((parsed, cancellation) => Task.Run(() => OfflineExit.Of(parsed, "the state is saved; go on with --continue", () =>
        {
            var inputs = files.Read(parsed);
            if (parsed.GetValue(epochs) is { } most)
                inputs = inputs with { Config = inputs.Config with { Offline = inputs.Config.Offline with { Epochs = most } } };
            NativeLibraries.Require(inputs.Config.Threads);
            using var bar = new ProgressBar();
            new TrainRun(inputs, parsed.GetRequiredValue(state).FullName, parsed.GetValue(repository)?.FullName, bar)
                .Run(parsed.GetValue(resume), parsed.InvocationConfiguration.Output, cancellation);
        }), CancellationToken.None));
        return command;
    }
}
