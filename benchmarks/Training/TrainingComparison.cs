using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using KdServing.Distiller;
using KdServing.Distiller.Training;

namespace KdServing.Benchmarks.Training;

/// <summary><c>kd bench training</c>: our training step beside PyTorch's on the same batches, interleaved; and at several vocabularies.</summary>
internal static class TrainingComparison
{
    private const string Help = """
        ./kd bench training [options]
          One training step of samples/globo (32 impressions x 51 candidates: gather, forward, hard and kd losses, backward, Adam,
          sparse Adagrad), ours beside benchmarks/pytorch/train.py on the same decoded batches, run in turn.
          First both learn the same batches from the same weights and their losses must agree.

          --vocabulary A,B,C   buckets of the user and of the article table (default 100000,1000000,10000000)
          --rounds N           turns of each (default 5)
          --steps N            steps a turn (default 300)
          --threads A,B        threads PyTorch gets, each tried (default 1,2); ours always has 1
          --python FILE        an interpreter that has torch (default: python3, then /usr/bin/python3)
          --report FILE        the figures as JSON
        """;

    private const int Batches = 64;
    private const int ComparedSteps = 30;
    private const double LossTolerance = 2e-3;

    public static int Run(string[] args)
    {
        if (args.Contains("--help") || args.Contains("-h"))
        {
            Console.WriteLine(Help);
            return 0;
        }
        var options = new Dictionary<string, string> { ["--vocabulary"] = "100000,1000000,10000000", ["--rounds"] = "5", ["--steps"] = "300", ["--threads"] = "1,2" };
        for (var i = 0; i < args.Length; i += 2)
        {
            if (i + 1 >= args.Length || args[i] is not ("--vocabulary" or "--rounds" or "--steps" or "--threads" or "--python" or "--report"))
            {
                Console.Error.WriteLine($"kd bench training: '{args[i]}' is not an option with a value; see --help");
                return 2;
            }
            options[args[i]] = args[i + 1];
        }
        foreach (var name in (string[])["--vocabulary", "--rounds", "--steps", "--threads"])
        {
            if (!options[name].Split(',').All(n => int.TryParse(n, CultureInfo.InvariantCulture, out var value) && value > 0))
            {
                Console.Error.WriteLine($"kd bench training: {name} '{options[name]}' must be whole numbers above 0");
                return 2;
            }
        }
        int[] vocabularies = Numbers(options["--vocabulary"]);
        (string Optimizer, int Threads)[] contenders = [.. Numbers(options["--threads"]).SelectMany(t => (string[])["adagrad", "sparse_adam"], (t, o) => (o, t))];
        var (rounds, steps) = (int.Parse(options["--rounds"], CultureInfo.InvariantCulture), int.Parse(options["--steps"], CultureInfo.InvariantCulture));
        NativeLibraries.Require(threads: 1);
        var folder = Directory.CreateTempSubdirectory("kd-training-").FullName;
        try
        {
            var root = Root();
            var python = options.TryGetValue("--python", out var given) ? given : Python();
            Console.WriteLine($"losses of the first {ComparedSteps} steps agree with PyTorch's within {AgreeingLosses(root, folder, python):e1} (relative)");
            var reports = vocabularies.Select(v => Compare(root, folder, python, contenders, v, rounds, steps)).ToList();
            Console.WriteLine($"a step at {vocabularies[^1]:N0} buckets costs {reports[^1].OursMs / reports[0].OursMs:F2} x the step at {vocabularies[0]:N0}");
            if (options.TryGetValue("--report", out var report))
                File.WriteAllText(report, JsonSerializer.Serialize(reports, new JsonSerializerOptions { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower }));
        }
        catch (InvalidOperationException e)
        {
            Console.Error.WriteLine($"kd bench training: {e.Message}");
            return 1;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
        return 0;
    }

    /// <summary>The largest relative difference of the losses when both begin with the same weights, rows and element-wise Adagrad.</summary>
    /// <exception cref="InvalidOperationException">They differ: the two sides do not do the same work.</exception>
    private static double AgreeingLosses(string root, string folder, string python)
    {
        var workload = new TrainingWorkload(Path.Combine(root, "samples", "globo"), 100_000, seed: 1);
        using var learner = workload.Learner(AdagradState.Element);
        var batches = workload.Batches(ComparedSteps);
        WorkloadFiles.Write(folder, workload, batches, learner, withRows: true);
        var theirs = PyTorch(root, folder, python, 1, $"--steps {ComparedSteps} --losses").GetProperty("losses").EnumerateArray().Select(l => l.GetDouble()).ToList();
        File.Delete(Path.Combine(folder, "rows.bin"));
        var logits = new float[batches[0].Candidates];
        var worst = 0.0;
        for (var s = 0; s < ComparedSteps; s++)
        {
            learner.ScoreAndLearn(batches[s], logits);
            worst = Math.Max(worst, Math.Abs(learner.Loss / theirs[s] - 1));
        }
        return worst <= LossTolerance ? worst : throw new InvalidOperationException($"losses differ from PyTorch's by {worst:P2}: the comparison would not be of the same work");
    }

    private static VocabularyReport Compare(string root, string folder, string python, (string Optimizer, int Threads)[] contenders, int vocabulary, int rounds, int steps)
    {
        var workload = new TrainingWorkload(Path.Combine(root, "samples", "globo"), vocabulary, seed: 1);
        using var learner = workload.Learner(workload.Config.Optimizer.Embedding.State);
        var batches = workload.Batches(Batches);
        WorkloadFiles.Write(folder, workload, batches, learner, withRows: false);
        var ours = new List<double>();
        var theirs = contenders.ToDictionary(c => c, _ => new List<double>());
        Ours(learner, batches, steps); // compiled and warm before the first turn
        for (var round = 0; round < rounds; round++)
        {
            ours.Add(Ours(learner, batches, steps));
            foreach (var contender in contenders)
            {
                theirs[contender].Add(PyTorch(root, folder, python, contender.Threads, $"--steps {steps} --optimizer {contender.Optimizer}").GetProperty("step_ms").GetDouble());
                Console.Error.Write($"\r{vocabulary:N0} buckets: round {round + 1} of {rounds}, {contender.Optimizer} with {contender.Threads} thread(s)   ");
            }
        }
        Console.Error.WriteLine();
        var report = new VocabularyReport(vocabulary, Median.Of(ours), theirs.ToDictionary(t => $"pytorch {t.Key.Optimizer}, {t.Key.Threads} thread(s)", t => Median.Of(t.Value)));
        var best = report.PytorchMs.MinBy(t => t.Value);
        Console.WriteLine($"{vocabulary,12:N0} buckets: ours {report.OursMs,6:F2} ms a step ({workload.Config.BatchRecords / report.OursMs * 1e3:N0} impressions/s, 1 thread)");
        foreach (var (name, ms) in report.PytorchMs)
            Console.WriteLine($"{"",21} {name,-32} {ms,6:F2} ms = {ms / report.OursMs:F2} x ours{(name == best.Key ? "   <- its best" : "")}");
        return report;
    }

    /// <summary>Median milliseconds a step.</summary>
    private static double Ours(Learner learner, List<FeatureBatch> batches, int steps)
    {
        var logits = new float[batches[0].Candidates];
        var times = new double[steps];
        for (var s = 0; s < steps; s++)
        {
            var begin = Stopwatch.GetTimestamp();
            learner.ScoreAndLearn(batches[s % batches.Count], logits);
            times[s] = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
        }
        return Median.Of(times[(steps / 5)..]);
    }

    private static int[] Numbers(string list) => [.. list.Split(',').Select(n => int.Parse(n, CultureInfo.InvariantCulture))];

    private static JsonElement PyTorch(string root, string folder, string python, int threads, string arguments)
    {
        var script = Path.Combine(root, "benchmarks", "pytorch", "train.py");
        // torch.set_num_threads does not reach OpenBLAS, whose idle threads would cost PyTorch half its speed.
        var start = new ProcessStartInfo(python, $"\"{script}\" \"{folder}\" --threads {threads} {arguments}")
        {
            RedirectStandardOutput = true,
            Environment = { ["OPENBLAS_NUM_THREADS"] = $"{threads}" },
        };
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? JsonDocument.Parse(output).RootElement : throw new InvalidOperationException($"{script} failed ({process.ExitCode})");
    }

    private static string Python()
    {
        foreach (var candidate in (string[])["python3", "/usr/bin/python3"])
        {
            try
            {
                using var process = Process.Start(new ProcessStartInfo(candidate, "-c \"import torch\"") { RedirectStandardError = true })!;
                process.WaitForExit();
                if (process.ExitCode == 0)
                    return candidate;
            }
            catch (Win32Exception)
            {
                // Not installed: the next one.
            }
        }
        throw new InvalidOperationException("no Python with torch was found; install python3-torch, or give --python FILE");
    }

    private static string Root()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "KdServing.sln")))
                return folder.FullName;
        }
        throw new InvalidOperationException("must run from a build inside the repository");
    }

    private sealed record VocabularyReport(int Vocabulary, double OursMs, IReadOnlyDictionary<string, double> PytorchMs);
}
