using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Offline;

namespace KdServing.Benchmarks.Devices;

/// <summary><c>bench device</c>: a GPU beside the processor: latency, throughput, and what a swap under load does to both.</summary>
internal static class DeviceCommand
{
    public const string Verb = "device";

    private static readonly JsonSerializerOptions Indented = new(ContractJson.Options) { WriteIndented = true };

    public static Command Create()
    {
        var sizes = new Option<int[]>("--n") { Description = "Candidates a request, e.g. 500 1000 5000.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [500, 1000, 5000] };
        var lanes = new Option<int[]>("--lanes") { Description = "Runs a GPU is given at a time; a row of the table for each; 0: the processor only.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [2] };
        var callers = new Option<int>("--callers") { Description = "Threads that ask at a time, for the throughput.", DefaultValueFactory = _ => Environment.ProcessorCount };
        var seconds = new Option<double>("--seconds") { Description = "Seconds a measurement, in each round.", DefaultValueFactory = _ => 0.5 };
        var rounds = new Option<int>("--rounds") { Description = "Rounds, in which the ways take turns; medians are shown.", DefaultValueFactory = _ => 5 };
        var swaps = new Option<int>("--swaps") { Description = "Versions loaded and swapped in while requests are scored, each way; 0: none.", DefaultValueFactory = _ => 50 };
        var items = new Option<int>("--items") { Description = "Items in the catalog, whose vectors take 512 bytes each.", DefaultValueFactory = _ => 100_000 };
        var repository = new Option<DirectoryInfo?>("--repository") { Description = "New folder the student is published in, to stay there: a server of it, model 'reference', can then be measured with 'kd load'." };
        var report = new Option<FileInfo?>("--report") { Description = "Write the rows to this file as JSON." };
        var command = new Command(Verb, "Scores requests (decoded from their wire form, scored, top 100 selected) by the processor and by a GPU, with and without "
            + "captured runs, in turns, in one process. Reference student: 10 + 10 features of width 16, 10^5 rows each, mlp 320-128-64-1.")
        {
            sizes, lanes, callers, seconds, rounds, swaps, items, repository, report,
        };
        command.SetAction((result, stop) => RunAsync(result.GetRequiredValue(sizes), result.GetRequiredValue(lanes), result.GetValue(callers), result.GetValue(seconds),
            result.GetValue(rounds), result.GetValue(swaps), result.GetValue(items), result.GetValue(repository), result.GetValue(report), result.InvocationConfiguration.Output, stop));
        return command;
    }

    private static async Task<int> RunAsync(int[] sizes, int[] lanes, int callers, double seconds, int rounds, int swaps, int items, DirectoryInfo? repository, FileInfo? report, TextWriter output, CancellationToken stop)
    {
        using var student = new ReferenceStudent(repository?.FullName);
        var ways = new List<DeviceWay>();
        try
        {
            ways.Add(await DeviceWay.OpenAsync("cpu", student, device: null, items));
            foreach (var count in lanes.Where(l => l > 0))
            {
                foreach (var replays in (bool[])[true, false])
                {
                    ways.Add(await DeviceWay.OpenAsync(string.Create(CultureInfo.InvariantCulture, $"cuda{(replays ? "" : ", no graphs")}, {count} lanes"), student,
                        new() { Lanes = count, ReplaysRuns = replays }, items));
                }
            }
            using var bar = new ProgressBar();
            var rows = new List<DeviceRow>();
            var (done, all) = (0, 2 * sizes.Length * rounds * ways.Count);
            foreach (var (byId, n) in ((bool[])[false, true]).SelectMany(byId => sizes.Select(n => (byId, n))))
            {
                var measurements = ways.ConvertAll(w => new DeviceMeasurement(w, student, n, byId, callers));
                for (var round = 0; round < rounds && !stop.IsCancellationRequested; round++)
                {
                    foreach (var measurement in measurements)
                    {
                        measurement.Round(TimeSpan.FromSeconds(seconds));
                        bar.Show((double)++done / all, $"{n} candidates{(byId ? " by id" : "")}, round {round + 1}");
                    }
                }
                rows.AddRange(measurements.Select(m => m.Row(measurements[0])));
            }
            bar.Dispose();
            output.Write(DeviceRow.Table(rows));
            var swapRows = new List<DeviceSwapRow>();
            foreach (var way in ways.Where(_ => swaps > 0))
                swapRows.Add(DeviceSwaps.Run(way, student, candidates: 1000, callers: Math.Max(1, callers / 4), swaps, stop));
            output.Write(DeviceSwapRow.Table(swapRows));
            if (report is not null)
                File.WriteAllText(report.FullName, JsonSerializer.Serialize(new { rows, swaps = swapRows }, Indented));
            return 0;
        }
        finally
        {
            foreach (var way in ways)
                way.Dispose();
        }
    }
}
