using System.Globalization;
using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Load;

/// <summary>What <c>kd load --mode</c> can do.</summary>
internal enum LoadMode
{
    /// <summary>Open loop, one step a rate.</summary>
    Steps,

    /// <summary>Closed loop, one step a number in flight.</summary>
    Closed,

    /// <summary>Open loop at rising rates: the highest one whose p99 keeps a limit.</summary>
    Ramp,

    /// <summary>A steady rate with bursts on top.</summary>
    Burst,

    /// <summary>Open loop beyond what the server can do: how much of its peak it still answers, how fast it refuses the rest.</summary>
    Overload,

    /// <summary>A steady rate while one version after another is published into the server's repository.</summary>
    Storm,
}

/// <summary>What a mode needs to know.</summary>
internal sealed record LoadPlan
{
    public required LoadMode Mode { get; init; }

    public required IReadOnlyList<double> Rates { get; init; }

    public required IReadOnlyList<int> Concurrency { get; init; }

    public required IReadOnlyList<double> Factors { get; init; }

    public required Arrivals Arrivals { get; init; }

    public required int Seed { get; init; }

    public required double Seconds { get; init; }

    public required double WarmUpSeconds { get; init; }

    /// <summary>p99 a rate must keep, from the intended send time.</summary>
    public required double P99LimitMs { get; init; }

    public required int Burst { get; init; }

    public required double BurstEverySeconds { get; init; }

    /// <summary>Open loops send together what is due within so many microseconds.</summary>
    public required int TickUs { get; init; }
}

/// <summary>The modes: each runs its steps, hands every finished one on, and says what it found.</summary>
/// <param name="finished">Told of each step as soon as it is over.</param>
internal sealed class LoadModes(LoadSession session, LoadPlan plan, Action<StepResult> finished, CancellationToken stop)
{
    private const int WarmUpConcurrency = 8;
    private const double RampFactor = 1.35;
    private const int RampSteps = 20;
    private const int Bisections = 4;
    private const double LargestErrorShare = 0.001;
    // In flight: enough for any number of cores, and few enough that a slow server does not refuse them.
    private static readonly int[] PeakConcurrency = [2, 4, 8, 16];

    /// <returns>The finding in a sentence; empty when the table says it all.</returns>
    public async Task<string> RunAsync()
    {
        if (plan.WarmUpSeconds > 0)
            await WarmUpAsync();
        switch (plan.Mode)
        {
            case LoadMode.Closed:
                foreach (var concurrency in plan.Concurrency.TakeWhile(_ => !stop.IsCancellationRequested))
                    finished(await session.ClosedAsync(concurrency, plan.Seconds, stop));
                return "";
            case LoadMode.Ramp:
                return await RampAsync();
            case LoadMode.Burst:
                foreach (var rate in plan.Rates.TakeWhile(_ => !stop.IsCancellationRequested))
                {
                    var schedule = new BurstSchedule(rate, plan.Burst, plan.BurstEverySeconds);
                    finished(await session.OpenAsync($"{Text(rate)}/s + bursts", rate, schedule.NextSeconds, plan.Seconds, stop));
                }
                return "";
            case LoadMode.Overload:
                return await OverloadAsync();
            default:
                foreach (var rate in plan.Rates.TakeWhile(_ => !stop.IsCancellationRequested))
                    finished(await StepAsync(rate));
                return "";
        }
    }

    private Task<StepResult> StepAsync(double rate) => session.OpenAsync($"{Text(rate)}/s", rate, plan.Arrivals, plan.Seed, plan.Seconds, stop);

    private Task WarmUpAsync() => plan.Mode is LoadMode.Steps or LoadMode.Burst or LoadMode.Storm
        ? session.OpenAsync("warm-up", plan.Rates[0], plan.Arrivals, plan.Seed, plan.WarmUpSeconds, stop)
        : session.ClosedAsync(WarmUpConcurrency, plan.WarmUpSeconds, stop);

    // Rates rise until one does not hold; between the last that held and it, halving by ratio closes in.
    private async Task<string> RampAsync()
    {
        var (held, failed) = (0.0, 0.0);
        var rate = plan.Rates[0];
        for (var step = 0; step < RampSteps && failed == 0 && !stop.IsCancellationRequested; step++, rate *= RampFactor)
            await TryAsync(rate);
        for (var step = 0; step < Bisections && held > 0 && failed > 0 && !stop.IsCancellationRequested; step++)
            await TryAsync(Math.Sqrt(held * failed));
        return held == 0
            ? $"no rate kept p99 within {Text(plan.P99LimitMs)} ms; the lowest tried was {Text(plan.Rates[0])}/s"
            : $"highest rate with p99 within {Text(plan.P99LimitMs)} ms: {Text(held)}/s" + (failed > 0 ? $" ({Text(failed)}/s did not keep it)" : ", the highest tried");

        async Task TryAsync(double next)
        {
            var result = await StepAsync(Math.Round(next));
            finished(result);
            var figures = result.Figures;
            if (figures.Latency.QuantileMs(0.99) <= plan.P99LimitMs && figures.ErrorCount <= LargestErrorShare * figures.Requests)
                held = Math.Max(held, result.Rate!.Value);
            else
                failed = failed == 0 ? result.Rate!.Value : Math.Min(failed, result.Rate!.Value);
        }
    }

    // The peak first, the best of some closed loops. Then multiples of it, each beside the peak as it was just before and just after: a
    // shared machine is not as fast from one minute to the next. What was best of several owes that to luck, too, so the peak before the
    // first step is asked anew. Goodput counts what was answered within the deadline.
    private async Task<string> OverloadAsync()
    {
        var (concurrency, peak) = (0, 0.0);
        foreach (var candidate in PeakConcurrency.TakeWhile(_ => !stop.IsCancellationRequested))
        {
            var rps = await PeakAsync(candidate);
            if (rps > peak)
                (concurrency, peak) = (candidate, rps);
        }
        var found = new List<string>();
        double? before = null;
        foreach (var factor in plan.Factors.TakeWhile(_ => !stop.IsCancellationRequested))
        {
            before ??= await PeakAsync(concurrency);
            var figures = (await OfferAsync(factor, Math.Round(peak * factor))).Figures;
            var after = await PeakAsync(concurrency);
            var (share, refused) = (figures.Rps / ((before.Value + after) / 2), figures.Refused);
            var unsent = figures.Errors.GetValueOrDefault(Outcome.InFlightLimit.Name());
            found.Add($"{Text(factor)}×: goodput {share * 100:F0} % of the peak, "
                + (refused.Count > 0 ? $"{refused.Count} refused in p99 {refused.QuantileMs(0.99).ToString("F2", CultureInfo.InvariantCulture)} ms" : "none refused")
                // Less was offered than the factor says.
                + (unsent > 0 ? $", {unsent} NOT SENT for --in-flight were under way" : ""));
            before = after;
        }
        return $"peak {Text(Math.Round(peak))}/s with {concurrency} in flight; " + string.Join("; ", found);

        async Task<double> PeakAsync(int inFlight)
        {
            var step = await session.ClosedAsync(inFlight, plan.Seconds, stop);
            finished(step);
            return step.Figures.Rps;
        }

        async Task<StepResult> OfferAsync(double factor, double rate)
        {
            var step = await session.OpenAsync($"{Text(factor)} × peak", rate, plan.Arrivals, plan.Seed, plan.Seconds, stop);
            finished(step);
            return step;
        }
    }

    private static string Text(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}
