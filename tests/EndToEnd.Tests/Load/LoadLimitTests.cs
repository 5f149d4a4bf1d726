using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Grpc.Core;
using KdServing.EndToEnd.Tests.Traffic;
using KdServing.LoadTests.Load;

namespace KdServing.EndToEnd.Tests.Load;

/// <summary>Not beside other tests: how much a server can do is a matter of time.</summary>
[CollectionDefinition(nameof(LoadLimitTests), DisableParallelization = true)]
public sealed class LoadLimitCollection;

[Collection(nameof(LoadLimitTests))]
public sealed class LoadLimitTests
{
    private const string Schema = """
        { "name": "clicks", "targets": ["click"], "features": [
          { "name": "user", "side": "user", "kind": "hash", "buckets": 64, "dim": 4 },
          { "name": "article", "side": "item", "kind": "hash", "buckets": 64, "dim": 4 } ] }
        """;

    // The server answers one request each 4 ms: 100/s keep the limit, some 250/s can not. The warm-up takes what is compiled first.
    [Fact]
    public async Task A_ramp_finds_the_rate_the_server_can_keep()
    {
        using var folder = new TemporaryFolder();
        var (schema, report) = (Path.Combine(folder.Path, "schema.json"), Path.Combine(folder.Path, "ramp.json"));
        await File.WriteAllTextAsync(schema, Schema);
        using var gate = new SemaphoreSlim(1);
        await using var server = await ScriptedRanking.StartAsync(async r =>
        {
            await gate.WaitAsync();
            await Task.Delay(4);
            gate.Release();
            return ScriptedRanking.Reply(r, 1);
        });

        Assert.Equal(0, await LoadCommand.Create().Parse($"--address {server.Address} --mode ramp --rates 60 --seconds 0.4 "
            + $"--p99-limit-ms 100 --warm-up 0.3 --arrivals Constant --schema {schema} --candidates 3 --pool 2 --report {report}").InvokeAsync());

        var json = JsonNode.Parse(await File.ReadAllTextAsync(report))!;
        Assert.Contains("highest rate", (string?)json["finding"]);
        Assert.Contains(json["steps"]!.AsArray(), s => (double)s!["latency_ms"]!["p99"]! > 100);
    }

    [Fact]
    public async Task Overload_tells_goodput_and_how_fast_the_rest_is_refused()
    {
        var running = 0;
        await using var server = await ScriptedRanking.StartAsync(async r =>
        {
            if (Interlocked.Increment(ref running) > 40)
            {
                Interlocked.Decrement(ref running);
                throw new RpcException(new Status(StatusCode.ResourceExhausted, "full"), new Metadata { { "grpc-retry-pushback-ms", "5" } });
            }
            await Task.Delay(40);
            Interlocked.Decrement(ref running);
            return ScriptedRanking.Reply(r, 1);
        });
        using var folder = new TemporaryFolder();
        var (schema, report) = (Path.Combine(folder.Path, "schema.json"), Path.Combine(folder.Path, "overload.json"));
        await File.WriteAllTextAsync(schema, Schema);
        var found = await RunAsync("");
        Assert.DoesNotContain("NOT SENT", (string?)found["finding"]);
        var steps = found["steps"]!.AsArray();
        // Four closed loops to find the peak; then it is asked anew, before the step and after it: what was best of four owes that to luck, too.
        Assert.Equal(["2 in flight", "4 in flight", "8 in flight", "16 in flight"], steps.Take(4).Select(s => (string?)s!["name"]));
        var best = steps.Take(4).MaxBy(Rps)!;
        Assert.Equal([(string?)best["name"], "4 × peak", (string?)best["name"]], steps.Skip(4).Select(s => (string?)s!["name"]));
        Assert.Equal(4 * Rps(best), (double)steps[5]!["rate"]!, tolerance: 2);
        var goodput = double.Parse(Regex.Match((string)found["finding"]!, @"goodput (\d+) %").Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.Equal(200 * Rps(steps[5]) / (Rps(steps[4]) + Rps(steps[6])), goodput, tolerance: 0.6);
        Assert.True((int)steps[5]!["errors_by_reason"]!["ResourceExhausted"]! > 0);
        Assert.True((double)steps[5]!["refused_ms"]!["p99"]! > 0);
        // Four times the peak takes 64 under way: who may not have as many does not offer it, and is told so.
        Assert.Contains("NOT SENT", (string?)(await RunAsync("--in-flight 30"))["finding"]);

        static double Rps(JsonNode? step) => (double)step!["throughput_rps"]!;

        async Task<JsonNode> RunAsync(string more)
        {
            Assert.Equal(0, await LoadCommand.Create().Parse($"--address {server.Address} --mode overload --factors 4 --seconds 0.5 --warm-up 0.3 --schema {schema} "
                + $"--candidates 3 --pool 2 --report {report} {more}").InvokeAsync());
            return JsonNode.Parse(await File.ReadAllTextAsync(report))!;
        }
    }
}
