using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Offline;

namespace KdServing.Benchmarks.Refreshes;

/// <summary><c>bench refresh</c>: what a refresh costs against the share of the rows it changes, at several sizes of the tables.</summary>
internal static class RefreshCommand
{
    public const string Verb = "refresh";

    // A base of 10^7 rows writes 1.3 GB.
    private const int BaseRepetitions = 3;

    private static readonly JsonSerializerOptions Indented = new(ContractJson.Options) { WriteIndented = true };

    public static Command Create()
    {
        var rows = Numbers("--rows", "Rows of all tables together, e.g. 1e5,1e6.", "1e5,1e6,1e7", n => n >= RefreshModel.Tables && n / RefreshModel.Tables <= int.MaxValue / 2);
        var shares = Numbers("--shares", "Shares of the rows that deltas change, above 0, 1 at most.", "0.001,0.01,0.1,1", n => n is > 0 and <= 1);
        var repetitions = new Option<int>("--repetitions") { Description = "Deltas of each kind; medians are shown.", DefaultValueFactory = _ => 7 };
        repetitions.Validators.Add(r =>
        {
            if (r.GetValueOrDefault<int>() < 1)
                r.AddError("--repetitions must be at least 1");
        });
        var report = new Option<FileInfo?>("--report") { Description = "Write the rows to this file as JSON." };
        var table = new Option<FileInfo?>("--table") { Description = "Write the table to this file as Markdown." };
        var command = new Command(Verb,
            $"Draft, write, load, swap and memory of a refresh against the share of the rows it changes. {RefreshModel.Tables} tables of width {RefreshModel.Width}, "
            + "mlp 320-128-64-1; changed rows are scattered evenly over the tables, the worst they can be for pages that versions share.")
        {
            rows, shares, repetitions, report, table,
        };
        command.SetAction((result, stop) => Task.FromResult(Run(
            [.. result.GetRequiredValue(rows).Select(n => (long)n)], result.GetRequiredValue(shares), result.GetValue(repetitions),
            result.GetValue(report), result.GetValue(table), result.InvocationConfiguration.Output, stop)));
        return command;
    }

    private static int Run(long[] sizes, double[] shares, int repetitions, FileInfo? report, FileInfo? table, TextWriter output, CancellationToken stop)
    {
        var measured = new List<RefreshRow>();
        using var bar = new ProgressBar();
        // A row of the table costs about as long as its tables are large.
        var (done, all) = (0.0, sizes.Sum(s => (double)s * (BaseRepetitions + shares.Length * repetitions)));
        foreach (var size in sizes)
        {
            using var measurement = new RefreshMeasurement(size);
            // The first of each kind compiles what the measured ones run.
            if (measured.Count == 0)
            {
                measurement.Base(1, () => { });
                measurement.Delta(shares[0], 2, () => { });
            }
            measured.Add(measurement.Base(BaseRepetitions, () => Advance(size, "base")));
            foreach (var share in shares)
            {
                if (stop.IsCancellationRequested)
                    return 1;
                measured.Add(measurement.Delta(share, repetitions, () => Advance(size, $"deltas of {share.ToString("0.###%", CultureInfo.InvariantCulture)}")));
            }
        }
        bar.Dispose();
        var text = RefreshRow.Table(measured);
        output.Write(text);
        output.Write(Summary(measured));
        if (report is not null)
            File.WriteAllText(report.FullName, JsonSerializer.Serialize(new { rows = measured }, Indented));
        if (table is not null)
            File.WriteAllText(table.FullName, text);
        return 0;

        void Advance(long size, string what)
        {
            done += size;
            bar.Show(done / all, string.Create(CultureInfo.InvariantCulture, $"{size:N0} rows: {what}"));
        }
    }

    // The question the table answers: does a small refresh know how large the tables are?
    private static string Summary(IReadOnlyList<RefreshRow> rows)
    {
        var smallest = rows.Where(r => r.Share is not null).MinBy(r => r.Share)!;
        var (first, last) = (rows.First(r => r.Share == smallest.Share), rows.Last(r => r.Share == smallest.Share));
        var whole = rows.Last(r => r.Share is null);
        return string.Create(CultureInfo.InvariantCulture,
            $"\nAt {last.Rows:N0} rows a delta of {smallest.Share:0.###%} takes {(last.DraftMs + last.WriteMs + last.LoadMs) / (whole.DraftMs + whole.WriteMs + whole.LoadMs):0.000} of a base's time and {(double)last.VersionBytes / whole.VersionBytes:0.0000} of its bytes; "
            + $"at {last.Rows / first.Rows} times the rows (and changed rows) it takes {(last.WriteMs + last.LoadMs) / (first.WriteMs + first.LoadMs):0.0} times as long to write and load.\n");
    }

    private static Option<double[]> Numbers(string name, string description, string whenAbsent, Func<double, bool> isValid)
    {
        var option = new Option<double[]>(name)
        {
            Description = $"{description} Default: {whenAbsent}.",
            DefaultValueFactory = _ => Parse(whenAbsent)!,
            CustomParser = result =>
            {
                if (Parse(result.Tokens[0].Value) is { Length: > 0 } numbers && numbers.All(isValid))
                    return numbers;
                result.AddError($"{name} '{result.Tokens[0].Value}' is not a list of fit numbers, e.g. {whenAbsent}");
                return [];
            },
        };
        return option;
    }

    private static double[]? Parse(string list)
    {
        var words = list.Split(',', StringSplitOptions.TrimEntries);
        return words.All(w => double.TryParse(w, NumberStyles.Float, CultureInfo.InvariantCulture, out _))
            ? [.. words.Select(w => double.Parse(w, CultureInfo.InvariantCulture))]
            : null;
    }
}
