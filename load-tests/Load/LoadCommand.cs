using System.CommandLine;
using System.Globalization;
using System.Net;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.LoadTests.Traffic;
using Spectre.Console;

namespace KdServing.LoadTests.Load;

/// <summary><c>kd load</c>: what a running server does under load, aware of version swaps.</summary>
public static class LoadCommand
{
    private const int AbandonAfterDeadlineMs = 100;
    private const int LogWidth = 170;

    public static Command Create()
    {
        var target = new TrafficTarget();
        var arguments = new LoadArguments();
        var command = new Command("load",
            "Load test of a running server: open loop (latency counts from the intended send time, so a stall is charged to every request due meanwhile), "
            + "closed loop, ramp, bursts, overload and swap storms. Requests are replayed from a dataset and encoded beforehand.")
        {
            LoadDiffCommand.Create(),
        };
        arguments.AddTo(command);
        target.AddTo(command);
        command.SetAction((parsed, stop) => RunAsync(target, arguments, parsed, stop));
        return command;
    }

    private static async Task<int> RunAsync(TrafficTarget target, LoadArguments arguments, ParseResult parsed, CancellationToken stop)
    {
        try
        {
            var address = await PlainAddressAsync(target.Address(parsed));
            var source = target.Requests(parsed);
            var schema = target.Schema(parsed);
            if (parsed.GetValue(arguments.ItemsOut) is { } items)
            {
                await WriteItemsAsync(items, RequestPool.Draw(source, parsed.GetValue(arguments.Pool), 1, null, schema), parsed.GetValue(arguments.ById)!, schema);
                return 0;
            }
            var pool = RequestPool.Draw(source, parsed.GetValue(arguments.Pool), parsed.GetValue(arguments.Connections), parsed.GetValue(arguments.ById), schema,
                parsed.GetValue(arguments.Varints));
            return await TestAsync(target, arguments, parsed, address, pool, stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 1;
        }
        catch (Exception e) when (e is DatasetException or ContractException or LoadException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"kd load: {e.Message}");
            return e is DatasetException or ContractException ? 2 : 1;
        }
    }

    private static async Task<int> TestAsync(TrafficTarget target, LoadArguments arguments, ParseResult parsed, Uri address,
        IReadOnlyList<RankRequest> pool, CancellationToken stop)
    {
        var traffic = target.Traffic(parsed, arguments.InFlight(parsed));
        var abandonMs = parsed.GetResult(arguments.Abandon) is { Implicit: false } ? parsed.GetValue(arguments.Abandon) : traffic.DeadlineMs + AbandonAfterDeadlineMs;
        var call = new LoadCall(address, parsed.GetValue(arguments.Streams), traffic.DeadlineMs, abandonMs, traffic.AllowRollback);
        var plan = arguments.Plan(parsed, traffic);
        using (var channel = TrafficTarget.Channel(address))
            await RequestPool.CheckAsync(new(channel), pool, traffic.DeadlineMs, stop);
        var headers = new HeaderBlock(address.Authority, "/kdserving.v1.Ranking/Rank", withDeadline: true);
        EncodedRequest[] encoded = [.. pool.Select(r => call.Streams > 0 ? EncodedRequest.Message(r) : EncodedRequest.Unary(r, headers))];

        using var progress = new LoadProgress();
        using var session = new LoadSession(call, encoded, parsed.GetValue(arguments.Connections), traffic.InFlightMax, plan.TickUs,
            new(parsed.GetValue(arguments.Status)), parsed.GetValue(arguments.ServerPid), progress.Show);
        using var storm = plan.Mode == LoadMode.Storm ? new VersionStorm(parsed.GetValue(arguments.Repository)!, pool[0].Model) : null;
        using var end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var publishing = storm?.RunAsync(parsed.GetValue(arguments.SwapEvery), end.Token) ?? Task.CompletedTask;
        var steps = new List<StepResult>();
        var started = DateTimeOffset.UtcNow;
        var finding = parsed.GetValue(arguments.Control) is { } control && storm is not null
            ? await new StormPhases(session, plan, new($"http://{control}"), parsed.GetValue(arguments.Status), parsed.GetValue(arguments.PhaseSeconds), Finished, stop).RunAsync()
            : await new LoadModes(session, plan, Finished, stop).RunAsync();
        progress.Clear();
        await end.CancelAsync();
        await publishing;
        if (storm is not null && finding.Length == 0)
            finding = $"{storm.Published} versions published, {steps.Sum(s => s.Figures.Swaps.Count)} of them seen in replies";
        if (session.LastLoss is { } loss)
            finding += $"{(finding.Length > 0 ? "; " : "")}a connection was lost: {loss}";

        var report = new LoadReport("kd " + string.Join(' ', parsed.Tokens.Select(t => t.Value)), started, target.Candidates(parsed), steps, finding);
        // A log has no width that the table must keep.
        if (Console.IsOutputRedirected)
            AnsiConsole.Profile.Width = LogWidth;
        AnsiConsole.Write(report.Table());
        if (finding.Length > 0)
            Console.WriteLine(finding);
        await WriteAsync(report, arguments, parsed);
        return 0;

        void Finished(StepResult step)
        {
            steps.Add(step);
            progress.Clear();
            Console.WriteLine(Line(step));
        }
    }

    private static string Line(StepResult step)
    {
        var f = step.Figures;
        var errors = f.ErrorCount == 0 ? "" : "  errors: " + string.Join(", ", f.Errors.Select(e => $"{e.Value} {e.Key}"));
        return string.Create(CultureInfo.InvariantCulture,
            $"{step.Name,-18} {f.Rps,8:F0}/s  p50 {f.Latency.QuantileMs(0.5):F2}  p99 {f.Latency.QuantileMs(0.99):F2}  max {f.Latency.MaxUs / 1000.0:F1} ms{errors}");
    }

    private static async Task WriteAsync(LoadReport report, LoadArguments arguments, ParseResult parsed)
    {
        if (parsed.GetValue(arguments.Report) is { } json)
            await File.WriteAllTextAsync(json, report.Json().ToJsonString(ContractJson.Options), CancellationToken.None);
        if (parsed.GetValue(arguments.Csv) is { } csv)
            await File.WriteAllTextAsync(csv, report.Csv(), CancellationToken.None);
        if (parsed.GetValue(arguments.Requests) is { } requests)
            await File.WriteAllLinesAsync(requests, report.Requests(), CancellationToken.None);
        if (parsed.GetValue(arguments.Plot) is { } plot)
            await File.WriteAllTextAsync(plot, Path.GetExtension(plot) == ".svg" ? LoadPlot.Svg(report) : LoadPlot.Html(report), CancellationToken.None);
    }

    private static async Task WriteItemsAsync(string path, IReadOnlyList<RankRequest> pool, string byId, FeatureSchema schema)
    {
        _ = CatalogRequest.Of(pool[0], byId, schema); // says what is wrong with the name
        await using var file = File.Create(path);
        var count = 0;
        foreach (var batch in CatalogRequest.Items(pool, byId, schema))
        {
            batch.WriteDelimitedTo(file);
            count += batch.Put.Count;
        }
        Console.WriteLine($"{count} items written to {path}");
    }

    // The generator's own HTTP/2 does without TLS and name resolution.
    private static async Task<Uri> PlainAddressAsync(Uri address)
    {
        if (address.Scheme != Uri.UriSchemeHttp)
            throw new LoadException("--address: kd load speaks HTTP/2 without TLS only; give an http:// address");
        if (IPAddress.TryParse(address.Host.Trim('[', ']'), out _))
            return address;
        try
        {
            var resolved = await Dns.GetHostAddressesAsync(address.Host, CancellationToken.None);
            return new UriBuilder(address) { Host = resolved[0].ToString() }.Uri;
        }
        catch (System.Net.Sockets.SocketException e)
        {
            throw new LoadException($"--address: {address.Host} is not known: {e.Message}");
        }
    }
}
