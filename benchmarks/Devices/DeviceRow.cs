using System.Globalization;
using System.Text;

namespace KdServing.Benchmarks.Devices;

/// <summary>One way at one size of request.</summary>
/// <param name="P50Us">Latency of a lone caller, microseconds.</param>
/// <param name="RequestsPerSecond">Of <paramref name="Callers"/> threads.</param>
/// <param name="Difference">Largest difference of a logit from the processor's, of max(1, |logit|).</param>
internal sealed record DeviceRow(string Way, string Candidates, int N, double P50Us, double P99Us, double RequestsPerSecond, int Callers, double Difference, double FirstLoadMs, double FillMs, double DeviceMb)
{
    public static string Table(IReadOnlyList<DeviceRow> rows)
    {
        var text = new StringBuilder($"| way | candidates by | N | C=1 p50, µs | C=1 p99, µs | requests/s, C={rows[0].Callers} | candidates/s | largest difference | first load, ms | catalog filled, ms | device memory, MB |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
        foreach (var r in rows)
            text.Append(CultureInfo.InvariantCulture, $"| {r.Way} | {r.Candidates} | {r.N} | {r.P50Us:F0} | {r.P99Us:F0} | {r.RequestsPerSecond:F0} | {r.RequestsPerSecond * r.N / 1e6:F1} M | {r.Difference:0.0e+0} | {r.FirstLoadMs:F0} | {r.FillMs:F0} | {r.DeviceMb:F0} |\n");
        return text.ToString();
    }
}

/// <summary>Swaps beside requests.</summary>
/// <param name="Wrong">Answers whose scores were not the expected ones.</param>
internal sealed record DeviceSwapRow(string Way, int N, int Callers, int Swaps, int Requests, int Failed, int Wrong, double LoadP50Ms, double LoadMinMs, double LoadMaxMs,
    double P99DuringUs, double P99BetweenUs, double DeviceMb)
{
    public static string Table(IReadOnlyList<DeviceSwapRow> rows)
    {
        var text = new StringBuilder("\n| way | N | C | swaps | requests | failed | wrong | load p50 (min, max), ms | p99 during loads, µs | p99 between, µs | device memory, MB |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
        foreach (var r in rows)
            text.Append(CultureInfo.InvariantCulture, $"| {r.Way} | {r.N} | {r.Callers} | {r.Swaps} | {r.Requests} | {r.Failed} | {r.Wrong} | {r.LoadP50Ms:F1} ({r.LoadMinMs:F1}, {r.LoadMaxMs:F1}) | {r.P99DuringUs:F0} | {r.P99BetweenUs:F0} | {r.DeviceMb:F0} |\n");
        return text.ToString();
    }
}
