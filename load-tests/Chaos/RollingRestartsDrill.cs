using System.Diagnostics;
using System.Globalization;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>
/// <c>--only rolling-restarts</c>: two servers are told to stop (SIGTERM) and started again in turn while clients rank against both; a client
/// whose server says UNAVAILABLE tries the other one, once.
/// </summary>
internal static class RollingRestartsDrill
{
    private const int Candidates = 50;
    private static readonly TimeSpan ExitLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Between = TimeSpan.FromMilliseconds(300);

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        using var folder = new DemoFolder(options.Folder);
        var student = ChaosStudent.Prepare(options.Data, Path.Combine(folder.Root, "config"), options.Seed);
        await using var first = new ChaosSystem(folder, student, withDisk: false);
        SampleVersions.Publish(new(first.Repository), student);
        await using var second = new ChaosSystem(folder, student, withDisk: false) { ServingName = "serving-2" };
        ChaosSystem[] servers = [first, second];
        foreach (var server in servers)
            server.StartServing();
        foreach (var server in servers)
            await server.ServesAsync(cancellation);
        // Half of the clients have one as their first choice, half the other.
        await using var half = new ChaosTraffic(first.ServingAddress, student, options.Rate / 2, Candidates, first.DeadServing, options.Seed, second.ServingAddress);
        await using var other = new ChaosTraffic(second.ServingAddress, student, options.Rate / 2, Candidates, second.DeadServing, options.Seed + 1, first.ServingAddress);
        ChaosTraffic[] clients = [half, other];

        var slowestExit = TimeSpan.Zero;
        var broken = new List<string>();
        for (var restart = 1; restart <= count; restart++)
        {
            var server = servers[restart % 2];
            var stopping = Stopwatch.StartNew();
            if (!await server.StopInOrderAsync(server.ServingName, ExitLimit))
                broken.Add($"restart {restart}: the server was still there {ExitLimit.TotalSeconds:F0} s after SIGTERM");
            slowestExit = stopping.Elapsed > slowestExit ? stopping.Elapsed : slowestExit;
            if (server.ExitCode(server.ServingName) is not 0 and var code)
                broken.Add($"restart {restart}: exit code {code}");
            server.StartServing();
            await server.ServesAsync(cancellation);
            await Task.Delay(Between, cancellation);
            if (restart % 20 == 0 || restart == count)
            {
                options.Say(string.Create(CultureInfo.InvariantCulture,
                    $"{clock.Elapsed:mm\\:ss} {restart} restarts, {clients.Sum(c => c.Figures.Requests):N0} requests, {clients.Sum(c => c.Failed)} failed, {clients.Sum(c => c.Retries)} retried"));
            }
        }
        foreach (var client in clients)
            await client.StopAsync();
        broken.AddRange(clients.Where(c => c.Failed > 0).Select(c => $"{c.Failed} ranking requests failed: {c.Reasons}"));
        broken.AddRange(servers.SelectMany(s => s.UnexpectedEnds));
        return new()
        {
            Seed = options.Seed,
            Only = options.Only,
            Requests = new(clients.Sum(c => c.Figures.Requests), clients.Sum(c => c.Failed), 0),
            Versions = new(2, 0, 0),
            Figures = new Dictionary<string, double>
            {
                ["restarts"] = count,
                ["client_retries"] = clients.Sum(c => c.Retries),
                ["slowest_exit_ms"] = Math.Round(slowestExit.TotalMilliseconds),
            },
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
            Broken = broken,
        };
    }
}
