using System.CommandLine;
using System.Globalization;
using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Load;

/// <summary>The options of <c>kd load</c> beside those every traffic command shares.</summary>
internal sealed class LoadArguments
{
    // Against refusals that take milliseconds it is little, and it halves what the generator takes from the server beside it.
    private const int OverloadTickUs = 250;
    private const int MaxTickUs = 10_000;
    // What the server's line holds, and what it has not yet refused, must not keep the rest from being offered.
    private const int OverloadInFlight = 4096;

    public readonly Option<LoadMode> Mode = new("--mode")
    {
        Description = "steps: open loop at --rates. closed: --concurrency in flight. ramp: the highest rate whose p99 keeps --p99-limit-ms. "
            + $"burst: --rates with --burst on top. overload: the peak, then --factors of it, with {OverloadInFlight} in flight unless --in-flight is given. storm: --rates while versions are published into --repository.",
        DefaultValueFactory = _ => LoadMode.Steps,
    };

    public readonly Option<double[]> Rates = new("--rates")
    {
        Description = "Requests a second, one step each, e.g. 100,200,400; ramp begins at the first.",
        DefaultValueFactory = _ => [100, 200, 400],
        CustomParser = result => Numbers(result, 100_000),
        AllowMultipleArgumentsPerToken = true,
    };

    public readonly Option<double[]> Concurrency = new("--concurrency")
    {
        Description = "closed: requests in flight, one step each.",
        DefaultValueFactory = _ => [1, 4, 16],
        CustomParser = result => Numbers(result, 4096),
        AllowMultipleArgumentsPerToken = true,
    };

    public readonly Option<double[]> Factors = new("--factors")
    {
        Description = "overload: multiples of the peak, one step each.",
        DefaultValueFactory = _ => [1, 2, 5, 10],
        CustomParser = result => Numbers(result, 100),
        AllowMultipleArgumentsPerToken = true,
    };

    public readonly Option<double> Seconds = new("--seconds") { Description = "Length of a step; hours make a soak test.", DefaultValueFactory = _ => 15 };
    public readonly Option<double> WarmUp = new("--warm-up") { Description = "Seconds before the steps; not counted.", DefaultValueFactory = _ => 3 };
    public readonly Option<int> Connections = new("--connections") { Description = "TCP connections.", DefaultValueFactory = _ => 4 };
    public readonly Option<int> Streams = new("--streams") { Description = "Ranking streams (RankStream) a connection; 0: a unary call a request.", DefaultValueFactory = _ => 0 };
    public readonly Option<int> Pool = new("--pool") { Description = "Requests drawn from the replay, sent over and over.", DefaultValueFactory = _ => 256 };
    public readonly Option<string?> ById = new("--by-id") { Description = "Candidates by id from the server's item catalog; names the item feature that holds the ids." };
    public readonly Option<bool> Varints = new("--varints") { Description = "Ids as varints, as a client sends them that fills 'ints': a third of the bytes. Left out: as the replay has them, which is mostly raw int64." };
    public readonly Option<string?> ItemsOut = OutputFile.Option("--items-out", "With --by-id: writes the candidates' items to this file as a bulk file for the catalog, and ends.");
    public readonly Option<int> Abandon = new("--abandon-ms") { Description = "Reset a call so long after its intended time. Default: 100 ms after the deadline; shorter than it: a test of cancels." };
    public readonly Option<double> P99Limit = new("--p99-limit-ms") { Description = "ramp: the p99 to keep, from the intended send time.", DefaultValueFactory = _ => 10 };
    public readonly Option<int> Burst = new("--burst") { Description = "burst: requests due at one moment.", DefaultValueFactory = _ => 100 };
    public readonly Option<double> BurstEvery = new("--burst-every") { Description = "burst: seconds from one to the next.", DefaultValueFactory = _ => 1 };
    public readonly Option<int?> Tick = new("--tick-us")
    {
        Description = "Open loops: what is due within so many microseconds is sent together; the wait counts as latency. "
            + $"0: each request when it is due, which at tens of thousands a second takes cores. Default: {OverloadTickUs} for overload, else 0.",
    };

    public readonly Option<string?> Repository = new("--repository") { Description = "storm: the server's model repository; clones of its newest version are published there." };
    public readonly Option<double> SwapEvery = new("--swap-every") { Description = "storm: seconds from one version to the next.", DefaultValueFactory = _ => 1 };
    public readonly Option<string?> Control = new("--control") { Description = "storm: HOST:PORT of the server's control listener; in every other phase the server holds its version, and the two are compared." };
    public readonly Option<double> PhaseSeconds = new("--phase-seconds") { Description = "storm with --control: length of a phase; of more than four the first two are not counted.", DefaultValueFactory = _ => 20 };
    public readonly Option<Uri?> Status = new("--status")
    {
        Description = "The server's HTTP port, e.g. http://127.0.0.1:8501: swap windows are then those of its ledger.",
        CustomParser = result =>
        {
            if (Uri.TryCreate(result.Tokens[0].Value, UriKind.Absolute, out var address))
                return address;
            result.AddError($"--status '{result.Tokens[0].Value}' must look like http://host:port");
            return null;
        },
    };

    public readonly Option<int?> ServerPid = new("--server-pid") { Description = "The server's process on this machine: its processor time a request is measured." };
    public readonly Option<string?> Report = OutputFile.Option("--report", "Write the figures to this file as JSON; 'kd load diff' compares two.");
    public readonly Option<string?> Csv = OutputFile.Option("--csv", "Write latency over time to this file as CSV.");
    public readonly Option<string?> Requests = OutputFile.Option("--requests-csv", "Write every request to this file as CSV.");
    public readonly Option<string?> Plot = OutputFile.Option("--plot", "Write plots to this file (.svg or .html): latency by percentile, and over time with the swaps.");

    public LoadArguments()
    {
        Above(Seconds, 0);
        Above(P99Limit, 0);
        Above(BurstEvery, 0);
        Above(SwapEvery, 0);
        Above(PhaseSeconds, 0);
        Above(WarmUp, -1);
        foreach (var option in new[] { Connections, Pool, Burst })
            TrafficTarget.AtLeast(option, 1);
        TrafficTarget.AtLeast(Streams, 0);
        Tick.Validators.Add(r =>
        {
            if (r.GetValueOrDefault<int?>() is < 0 or > MaxTickUs)
                r.AddError($"--tick-us must be 0 to {MaxTickUs}");
        });
        Plot.Validators.Add(r =>
        {
            if (r.GetValueOrDefault<string?>() is { } path && Path.GetExtension(path) is not (".svg" or ".html"))
                r.AddError("--plot must end in .svg or .html");
        });
    }

    public void AddTo(Command command)
    {
        foreach (var option in new Option[]
        {
            Mode, Rates, Concurrency, Factors, Seconds, WarmUp, Connections, Streams, Pool, ById, Varints, ItemsOut, Abandon, P99Limit, Burst, BurstEvery, Tick,
            Repository, SwapEvery, Control, PhaseSeconds, Status, ServerPid, Report, Csv, Requests, Plot,
        })
            command.Add(option);
        command.Validators.Add(r =>
        {
            if (r.GetValue(Mode) == LoadMode.Storm && r.GetValue(Repository) is null)
                r.AddError("--mode storm needs --repository");
            // 'http://HOST:PORT' is a URI after 'http://' too: one of a host that is called http.
            if (r.GetValue(Control) is { } control
                && (!Uri.TryCreate($"http://{control}", UriKind.Absolute, out var uri) || uri.IsDefaultPort || uri.PathAndQuery != "/"))
                r.AddError($"--control '{control}' must look like HOST:PORT, without http://");
            if (r.GetValue(ItemsOut) is not null && r.GetValue(ById) is null)
                r.AddError("--items-out needs --by-id");
        });
    }

    /// <summary>Requests under way at most, unless the user says; null: the option's default.</summary>
    public int? InFlight(ParseResult parsed) => parsed.GetValue(Mode) == LoadMode.Overload ? OverloadInFlight : null;

    public LoadPlan Plan(ParseResult parsed, TrafficOptions traffic) => new()
    {
        Mode = parsed.GetValue(Mode),
        Rates = parsed.GetValue(Rates)!,
        Concurrency = [.. parsed.GetValue(Concurrency)!.Select(c => (int)Math.Max(1, c))],
        Factors = parsed.GetValue(Factors)!,
        Arrivals = traffic.Arrivals,
        Seed = traffic.Seed,
        Seconds = parsed.GetValue(Seconds),
        WarmUpSeconds = parsed.GetValue(WarmUp),
        P99LimitMs = parsed.GetValue(P99Limit),
        Burst = parsed.GetValue(Burst),
        BurstEverySeconds = parsed.GetValue(BurstEvery),
        TickUs = parsed.GetValue(Tick) ?? (parsed.GetValue(Mode) == LoadMode.Overload ? OverloadTickUs : 0),
    };

    private static void Above(Option<double> option, double limit) => option.Validators.Add(r =>
    {
        if (!(r.GetValueOrDefault<double>() > limit))
            r.AddError($"{option.Name} must be {(limit < 0 ? "0 or more" : $"above {limit}")}");
    });

    private static double[] Numbers(System.CommandLine.Parsing.ArgumentResult result, double most)
    {
        var numbers = new List<double>();
        foreach (var text in result.Tokens.SelectMany(t => t.Value.Split(',')))
        {
            if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && number > 0 && number <= most)
                numbers.Add(number);
            else
                result.AddError($"'{text}' is no number above 0 and at most {most}");
        }
        return [.. numbers];
    }
}
