using System.Globalization;
using System.Text.Json.Nodes;
using Grpc.Net.Client;
using KdServing.Contracts;
using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Load;

/// <summary>
/// A storm with its interleaved control: versions are published all the time; in every other phase the server takes them, in the
/// phases between it is told to hold the version it has. The same rate, minutes apart at most: what differs is the swaps.
/// </summary>
/// <param name="control">The server's control listener.</param>
/// <param name="status">Its HTTP port, for the ledger and its memory; null: memory is not told.</param>
internal sealed class StormPhases(LoadSession session, LoadPlan plan, Uri control, Uri? status, double phaseSeconds, Action<StepResult> finished, CancellationToken stop)
{
    // Until a swap that had begun is over, and until the first swap after a hold, which brings several versions at once, is.
    private const double SettleSeconds = 1.5;
    private const long SwapsBeforeMemory = 10;
    // The first two are run and shown, not counted, where others follow: a server that has just started compiles what swaps and ranks.
    private const int WarmUpPhases = 2;

    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(5) };

    private readonly LatencyHistogram inside = new();
    private readonly LatencyHistogram outside = new();
    private readonly LatencyHistogram held = new();
    private readonly List<double> swapping99 = [];
    private readonly List<double> held99 = [];
    private long requests;
    private long errors;

    /// <returns>The finding in a sentence.</returns>
    public async Task<string> RunAsync()
    {
        using var channel = GrpcChannel.ForAddress(control);
        var client = new ModelControl.ModelControlClient(channel);
        var before = await LookAsync();
        var early = before;
        try
        {
            for (var phase = 0; phase * phaseSeconds < plan.Seconds && !stop.IsCancellationRequested; phase++)
            {
                var holds = phase % 2 == 1;
                await client.HoldAsync(new() { Release = !holds, Reason = "kd load --mode storm" }, cancellationToken: CancellationToken.None);
                await StepAsync("settling", SettleSeconds, phase);
                var step = await StepAsync(holds ? "held" : "swapping", phaseSeconds, phase);
                finished(step);
                if (phase >= WarmUpPhases || plan.Seconds <= 2 * WarmUpPhases * phaseSeconds)
                    Count(step.Figures, holds);
                var now = await LookAsync();
                if (early.Served - before.Served < SwapsBeforeMemory)
                    early = now;
            }
        }
        finally
        {
            await client.HoldAsync(new() { Release = true }, cancellationToken: CancellationToken.None);
        }
        return Finding(before, early, await LookAsync());
    }

    private async Task<StepResult> StepAsync(string name, double seconds, int phase)
    {
        var step = await session.OpenAsync(name, plan.Rates[0], plan.Arrivals, plan.Seed + phase, seconds, stop);
        requests += step.Figures.Requests;
        errors += step.Figures.ErrorCount;
        return step;
    }

    private void Count(StepFigures figures, bool holds)
    {
        (holds ? held99 : swapping99).Add(figures.Latency.QuantileMs(0.99));
        if (holds)
        {
            held.Add(figures.Latency);
            return;
        }
        inside.Add(figures.DuringSwap);
        outside.Add(figures.OutsideSwap);
    }

    private string Finding((long Served, double RssMb) before, (long Served, double RssMb) early, (long Served, double RssMb) end)
    {
        var (during, control99) = (inside.QuantileMs(0.99), held.QuantileMs(0.99));
        var finding = string.Create(CultureInfo.InvariantCulture,
            $"{end.Served - before.Served} swaps, {requests} requests, {errors} failed; p99 inside swap windows {during:F3} ms ({inside.Count} requests), "
            + $"outside {outside.QuantileMs(0.99):F3} ms ({outside.Count}), interleaved control {control99:F3} ms ({held.Count}): ratio {during / control99:F2}; "
            + $"p99 by medians of phases, swapping {Median(swapping99):F3} ms, held {Median(held99):F3} ms: ratio {Median(swapping99) / Median(held99):F2}; "
            + $"p50 {inside.QuantileMs(0.5):F3} against {held.QuantileMs(0.5):F3} ms");
        return status is null ? finding : finding + string.Create(CultureInfo.InvariantCulture,
            $"; resident {early.RssMb:F0} MB after swap {early.Served - before.Served}, {end.RssMb:F0} MB at the end ({end.RssMb - early.RssMb:+0;-0;0})");
    }

    private static double Median(List<double> values) => values.Count == 0 ? double.NaN : values.Order().ElementAt(values.Count / 2);

    private async Task<(long Served, double RssMb)> LookAsync()
    {
        if (status is null)
            return default;
        var json = JsonNode.Parse(await Http.GetStringAsync(new Uri(status, "/status.json"), CancellationToken.None))!;
        return (json["versions_served"]!.GetValue<long>(), json["rss_mb"]!.GetValue<double>());
    }
}
