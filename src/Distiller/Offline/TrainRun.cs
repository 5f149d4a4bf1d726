using System.Diagnostics;
using System.Globalization;
using KdServing.Contracts;
using KdServing.Distiller.Methods;

namespace KdServing.Distiller.Offline;

/// <summary>One <c>distill train</c>: data, epochs, checkpoints, the best epoch, a version.</summary>
internal sealed class TrainRun(OfflineInputs inputs, string stateFolder, string? repositoryFolder, ProgressBar bar)
{
    private const string EpochKey = "epoch";
    private const string LearnedKey = "records_of_epoch";
    private const string BestEpochKey = "best_epoch";
    private const string BestAucKey = "best_inner_auc";
    private const string InputsKey = "inputs";

    private readonly string newest = Path.Combine(stateFolder, "train.safetensors");
    private readonly string best = Path.Combine(stateFolder, "best.safetensors");
    private int bestEpoch;
    private long steps;

    /// <summary>Called after each step with the number of steps of this run; for tests that stop it there.</summary>
    internal Action<long> AfterStep { get; init; } = _ => { };
    private double bestAuc = double.NegativeInfinity;

    /// <exception cref="ContractException">The configuration or the state does not fit.</exception>
    /// <exception cref="OperationCanceledException">Asked to stop; the state is saved.</exception>
    public void Run(bool resume, TextWriter output, CancellationToken cancellation)
    {
        var (schema, config) = (inputs.Schema, inputs.Config);
        Directory.CreateDirectory(stateFolder);
        if (!resume && File.Exists(newest))
            throw new ContractException("--state", $"{stateFolder} holds a training; go on with --continue, or name another folder");
        using var method = new MethodOwner(Method.Create(schema, inputs.Shape, config));
        var taught = Taught(method.Method, cancellation);
        var draws = config.Offline.Unexposed > 0 && taught.Extended.Count > 0 ? taught.Extended : [taught.Train];
        using var training = new OfflineTraining(schema, inputs.Shape, config, method.Take(), draws, config.Seed);
        var identity = RunLog.Key(taught.Key, System.Text.Json.JsonSerializer.Serialize(inputs.Shape, ContractJson.Options),
            System.Text.Json.JsonSerializer.Serialize(config with { Offline = config.Offline with { Epochs = 0, Presets = new Dictionary<string, System.Text.Json.JsonElement>() } }, ContractJson.Options));
        if (resume)
            Restore(training, identity);

        var saved = Stopwatch.StartNew();
        while (training.Epoch < config.Offline.Epochs && training.Epoch - bestEpoch < config.Offline.Patience)
        {
            var epoch = Stopwatch.StartNew();
            var learnedBefore = training.Candidates;
            var complete = training.RunEpoch(() =>
            {
                bar.Show((training.Epoch + (double)training.Learned / training.Records) / config.Offline.Epochs,
                    FormattableString.Invariant($"epoch {training.Epoch + 1} of at most {config.Offline.Epochs}, loss {training.Learner.Loss:F4}"));
                if (saved.Elapsed.TotalSeconds >= config.Checkpoint.EverySeconds)
                {
                    Save(newest, training, identity);
                    saved.Restart();
                }
                AfterStep(++steps);
                return !cancellation.IsCancellationRequested;
            });
            if (complete)
                Judge(training, taught, epoch.Elapsed.TotalSeconds, training.Candidates - learnedBefore, identity);
            Save(newest, training, identity);
            cancellation.ThrowIfCancellationRequested();
        }
        Finish(training, taught, output);
    }

    private TaughtData Taught(Method method, CancellationToken cancellation)
    {
        var (schema, config) = (inputs.Schema, inputs.Config);
        var data = OfflineData.Read(inputs.Reader, schema, config.Offline, config.Seed, read => bar.Show(0, $"reading {inputs.Reader.Name}: {read:N0} impressions"), cancellation);
        bar.Say($"{data.Name}: {data.Train.Count:N0} impressions to learn, {data.Inner.Count:N0} in the inner split, {data.Valid.Count:N0} to validate on");
        var wantsTeacher = method.Objective.Sources.Count > 0;
        var taught = TaughtData.Make(data, schema, wantsTeacher ? inputs.Teacher : null, config.Offline, config.Seed, inputs.CacheFolder,
            (share, what) => bar.Show(share, $"teacher: {what}"), cancellation);
        if (wantsTeacher && taught.Teachers.Count == 0)
            throw new ContractException("--teacher", "the losses want a teacher's logits, but the data has no soft_labels and there is no teacher.json to cross-fit one from");
        foreach (var source in method.Objective.Sources.Where(s => s.Teacher is not null && !taught.Teachers.Contains(s.Teacher)))
            throw new ContractException("kd.soft_label_name", $"'{source.Teacher}' is no teacher of this data; it has {string.Join(", ", taught.Teachers)}");
        return taught;
    }

    private void Judge(OfflineTraining training, TaughtData taught, double seconds, long candidates, string identity)
    {
        var inner = OfflineMetrics.Of(taught.Inner, training.Score(taught.Inner), inputs.Schema, inputs.Config.HardLabel.LogQCorrection);
        var isBest = inner.Auc > bestAuc || bestEpoch == 0;
        if (isBest)
        {
            (bestEpoch, bestAuc) = (training.Epoch, inner.Auc ?? double.NegativeInfinity);
            Save(best, training, identity);
        }
        bar.Say(FormattableString.Invariant($"epoch {training.Epoch,3}: inner AUC {inner.Auc:F5}, GAUC {inner.Gauc:F5}, log loss {inner.Logloss:F5}, {candidates / seconds:N0} examples/s{(isBest ? "  best" : "")}"));
    }

    private void Finish(OfflineTraining training, TaughtData taught, TextWriter output)
    {
        if (bestEpoch == 0)
            throw new ContractException("offline.epochs", "no epoch is complete; there is nothing to keep");
        OfflineCheckpoint.Load(best, training.Learner);
        var valid = OfflineMetrics.Of(taught.Valid, training.Score(taught.Valid), inputs.Schema, inputs.Config.HardLabel.LogQCorrection);
        output.WriteLine(FormattableString.Invariant($"best epoch {bestEpoch} of {training.Epoch}: validation AUC {valid.Auc:F5}, GAUC {valid.Gauc:F5}, log loss {valid.Logloss:F5}, calibration {valid.Calibration:F3}"));
        if (taught.Teacher.Valid.Length > 0)
        {
            var teacher = OfflineMetrics.Of(taught.Valid, taught.Teacher.Valid, inputs.Schema, inputs.Config.HardLabel.LogQCorrection);
            output.WriteLine(FormattableString.Invariant($"teacher: validation AUC {teacher.Auc:F5}, GAUC {teacher.Gauc:F5}, log loss {teacher.Logloss:F5}"));
        }
        output.WriteLine($"weights: {best}");
        if (repositoryFolder is null)
            return;
        var manifest = OfflinePublication.Publish(repositoryFolder, inputs, training.Learner, taught, valid);
        output.WriteLine($"published: {inputs.Config.Model} version {manifest.Version} in {repositoryFolder}");
    }

    private void Restore(OfflineTraining training, string identity)
    {
        if (!File.Exists(newest))
            throw new ContractException("--continue", $"{stateFolder} holds no training; start without --continue");
        var metadata = OfflineCheckpoint.Load(newest, training.Learner);
        if (metadata.GetValueOrDefault(InputsKey) != identity)
            throw new ContractException("--continue", $"{stateFolder} is of other data or another configuration; use those, or another folder");
        training.Epoch = int.Parse(metadata[EpochKey], CultureInfo.InvariantCulture);
        training.Learned = int.Parse(metadata[LearnedKey], CultureInfo.InvariantCulture);
        bestEpoch = int.Parse(metadata[BestEpochKey], CultureInfo.InvariantCulture);
        bestAuc = double.Parse(metadata[BestAucKey], CultureInfo.InvariantCulture);
        bar.Say($"going on in epoch {training.Epoch + 1} after {training.Learned:N0} of {training.Records:N0} records");
    }

    private void Save(string path, OfflineTraining training, string identity) => OfflineCheckpoint.Save(path, training.Learner, new Dictionary<string, string>
    {
        [InputsKey] = identity,
        [EpochKey] = training.Epoch.ToString(CultureInfo.InvariantCulture),
        [LearnedKey] = training.Learned.ToString(CultureInfo.InvariantCulture),
        [BestEpochKey] = bestEpoch.ToString(CultureInfo.InvariantCulture),
        [BestAucKey] = bestAuc.ToString("R", CultureInfo.InvariantCulture),
    });

    // Disposes a method that no learner has taken over.
    private sealed class MethodOwner(Method method) : IDisposable
    {
        private bool taken;

        public Method Method => method;

        public Method Take()
        {
            taken = true;
            return method;
        }

        public void Dispose()
        {
            if (!taken)
                method.Dispose();
        }
    }
}
