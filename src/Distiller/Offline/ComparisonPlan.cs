using System.Text.Json;
using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.Distiller.Offline;

/// <summary>Which students are trained, in which order; what is finished is remembered.</summary>
/// <param name="Seeds">Of each contender.</param>
/// <param name="ChosenSeeds">Of the chosen one and of labels only, at least <paramref name="Seeds"/>.</param>
internal sealed record ComparisonPlan(IReadOnlyList<Contender> Contenders, int Seeds, int ChosenSeeds)
{
    // Preparing teacher and data is about so much of the bar.
    private const double Preparation = 0.1;

    /// <exception cref="OperationCanceledException">Asked to stop; finished runs are kept.</exception>
    public ComparisonReport Run(OfflineInputs inputs, int impressions, ProgressBar bar, CancellationToken cancellation)
    {
        var (comparison, dataKey) = Comparison(inputs, impressions, bar, cancellation);
        var log = new RunLog(Path.Combine(inputs.CacheFolder, $"{inputs.Reader.Name}-runs.jsonl"));
        var skipped = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var contender in Contenders)
        {
            if (comparison.Missing(contender) is { } reason)
            {
                skipped[contender.Name] = reason;
                bar.Say($"{contender.Name} is left out: it {reason}");
            }
        }
        var contenders = Contenders.Where(c => !skipped.ContainsKey(c.Name)).ToList();
        if (inputs.Config.HardLabel.Weight > 0)
            contenders.Insert(0, Contender.LabelsOnly);

        // Seed by seed: an interrupted comparison has all contenders of the first seeds.
        var runs = new List<StudentRun>();
        var total = contenders.Count * Seeds + 2 * (ChosenSeeds - Seeds);
        for (var seed = 1; seed <= Seeds; seed++)
        {
            foreach (var contender in contenders)
                runs.Add(Take(contender, seed));
        }
        var report = Report();
        for (var seed = Seeds + 1; seed <= ChosenSeeds; seed++)
        {
            foreach (var contender in contenders.Where(c => c.Name == report.Chosen || c.Name == Contender.LabelsOnlyName))
                runs.Add(Take(contender, seed));
        }
        return Report() with { Chosen = report.Chosen };

        ComparisonReport Report() => ComparisonReport.Of(inputs.Reader.Name, comparison.Teacher, runs, skipped);

        StudentRun Take(Contender contender, int seed)
        {
            var own = contender.Configure(inputs.Config, seed);
            var key = RunLog.Key(dataKey, contender.Name, JsonSerializer.Serialize(inputs.Shape, ContractJson.Options),
                JsonSerializer.Serialize(own with { Offline = own.Offline with { Presets = new Dictionary<string, JsonElement>() } }, ContractJson.Options));
            if (log.Find(key) is { } known)
                return known;
            var run = comparison.Run(contender, seed,
                share => bar.Show(Preparation + (1 - Preparation) * (runs.Count + share) / total, $"{contender.Name}, seed {seed} (run {runs.Count + 1} of {total})"), cancellation);
            log.Add(key, run);
            bar.Say(FormattableString.Invariant($"{contender.Name,-28} seed {seed}: AUC {run.Valid.Auc:F5}, inner {run.Inner.Auc:F5}, GAUC {run.Valid.Gauc:F5}, {run.Epochs} epochs, {run.ExamplesPerSecond:N0} examples/s"));
            return run;
        }
    }

    private static (IComparison, string Key) Comparison(OfflineInputs inputs, int impressions, ProgressBar bar, CancellationToken cancellation)
    {
        if (!inputs.Reader.Description.Split.ContainsKey(DatasetPart.Validation))
        {
            var replay = ReplayedData.Make(inputs, impressions, (share, what) => bar.Show(Preparation * share, what), cancellation);
            return (new ProgressiveComparison(inputs.Schema, inputs.Shape, inputs.Config, replay), replay.Key);
        }
        var data = OfflineData.Read(inputs.Reader, inputs.Schema, inputs.Config.Offline, inputs.Config.Seed,
            read => bar.Show(0, $"reading {inputs.Reader.Name}: {read:N0} impressions"), cancellation);
        bar.Say($"{data.Name}: {data.Train.Count:N0} impressions to learn ({data.Train.Sum(i => (long)i.Record.CandidateCount):N0} rows), {data.Inner.Count:N0} in the inner split, {data.Valid.Count:N0} to validate on ({data.Valid.Sum(i => (long)i.Record.CandidateCount):N0} rows)");
        var taught = TaughtData.Make(data, inputs.Schema, inputs.Teacher, inputs.Config.Offline, inputs.Config.Seed, inputs.CacheFolder,
            (share, what) => bar.Show(Preparation * share, $"teacher: {what}"), cancellation);
        var comparison = new EpochComparison(inputs.Schema, inputs.Shape, inputs.Config, taught);
        if (comparison.Teacher is { } teacher)
            bar.Say(FormattableString.Invariant($"teacher                      AUC {teacher.Auc:F5}, GAUC {teacher.Gauc:F5}, log loss {teacher.Logloss:F4}"));
        return (comparison, taught.Key);
    }
}
