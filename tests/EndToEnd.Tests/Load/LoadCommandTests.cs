using System.Collections.Concurrent;
using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.EndToEnd.Tests.Data;
using KdServing.EndToEnd.Tests.Traffic;
using KdServing.LoadTests.Load;
using KdServing.LoadTests.Traffic;

namespace KdServing.EndToEnd.Tests.Load;

public sealed class LoadCommandTests : IDisposable
{
    private const string Schema = """
        { "name": "clicks", "targets": ["click"], "features": [
          { "name": "user", "side": "user", "kind": "hash", "buckets": 64, "dim": 4 },
          { "name": "article", "side": "item", "kind": "hash", "buckets": 64, "dim": 4 } ] }
        """;

    private readonly TemporaryDataset dataset = new(ClickLogFixture.Description());

    public LoadCommandTests() => File.WriteAllText(Path.Combine(dataset.Folder, "schema.json"), Schema);

    public void Dispose() => dataset.Dispose();

    [Fact]
    public async Task Steps_count_every_intended_request_and_see_the_swaps()
    {
        var rows = ClickLogFixture.Rows(1000, seed: 1);
        dataset.Write("day-1.csv", ClickLogFixture.Csv(rows[..500]));
        dataset.Write("day-2.csv.gz", ClickLogFixture.Csv(rows[500..]));
        // Four requests check the pool; the version rises at the 40th request of the second step.
        var requests = 0;
        await using var server = await ScriptedRanking.StartAsync(r =>
            Task.FromResult(ScriptedRanking.Reply(r, Interlocked.Increment(ref requests) > 4 + 50 + 40 ? 2 : 1)));
        var files = new[] { "load.json", "load.csv", "requests.csv", "load.svg" }.Select(f => Path.Combine(dataset.Folder, f)).ToArray();
        Assert.Equal(0, await RunAsync(server, $"--data {dataset.Folder} --samples x --rates 50,100 --seconds 1 --warm-up 0 --arrivals Constant --candidates 10 "
            + $"--pool 4 --report {files[0]} --csv {files[1]} --requests-csv {files[2]} --plot {files[3]}"));

        var steps = JsonNode.Parse(await File.ReadAllTextAsync(files[0]))!["steps"]!.AsArray();
        Assert.Equal([50, 100], steps.Select(s => (int)s!["requests"]!));
        Assert.Equal([50, 100], steps.Select(s => (int)s!["served"]!));
        Assert.Equal([0, 1], steps.Select(s => (int)s!["swaps"]!));
        Assert.True((double)steps[1]!["latency_ms_during_swap"]!["p99"]! > 0);
        Assert.Equal(51, steps[0]!["percentiles"]!.AsArray().Count);
        Assert.Equal(151, (await File.ReadAllLinesAsync(files[2])).Length);
        Assert.Equal(150, (await File.ReadAllLinesAsync(files[1])).Skip(1).Sum(l => int.Parse(l.Split(',')[2])));
        Assert.Contains(XDocument.Load(files[3]).Descendants(), e => e.Name.LocalName == "title" && e.Value == "version 2");
    }

    [Fact]
    public async Task A_closed_loop_keeps_its_number_in_flight()
    {
        var (now, most) = (0, 0);
        await using var server = await ScriptedRanking.StartAsync(async r =>
        {
            var running = Interlocked.Increment(ref now);
            InterlockedMax(ref most, running);
            await Task.Delay(5);
            Interlocked.Decrement(ref now);
            return ScriptedRanking.Reply(r, 1);
        });
        var report = Path.Combine(dataset.Folder, "closed.json");
        Assert.Equal(0, await RunAsync(server, $"--mode closed --concurrency 6 --seconds 0.5 --warm-up 0 --schema {Schemafile} --candidates 3 --pool 2 --report {report}"));
        var step = JsonNode.Parse(await File.ReadAllTextAsync(report))!["steps"]![0]!;
        Assert.Equal(6, most);
        Assert.True((int)step["served"]! > 12);
        Assert.Equal(0, (int)step["errors"]!);
    }

    [Fact]
    public async Task What_is_due_within_a_tick_is_sent_together()
    {
        await using var server = await ScriptedRanking.StartAsync(r => Task.FromResult(ScriptedRanking.Reply(r, 1)));
        var csv = Path.Combine(dataset.Folder, "requests.csv");
        Assert.Equal(0, await RunAsync(server, $"--schema {Schemafile} --rates 1000 --seconds 0.3 --warm-up 0 --arrivals Constant --candidates 3 --pool 2 --tick-us 10000 --requests-csv {csv}"));
        var delaysUs = (await File.ReadAllLinesAsync(csv)).Skip(1).Select(l => int.Parse(l.Split(',')[3])).ToList();
        Assert.Equal(300, delaysUs.Count);
        // Of some ten that go together the first waits the tick, and none goes before it is due.
        Assert.True(delaysUs[0] >= 10_000);
        Assert.All(delaysUs, d => Assert.True(d >= 0));
        Assert.Contains(delaysUs, d => d < 5_000);
    }

    [Theory]
    [InlineData("", 512, 0)]
    [InlineData("--mode overload", 4096, 250)]
    [InlineData("--mode overload --in-flight 30 --tick-us 0", 30, 0)]
    public void An_overload_offers_more_unless_told_otherwise(string given, int inFlight, int tickUs)
    {
        var (command, target, arguments) = (new Command("load"), new TrafficTarget(), new LoadArguments());
        target.AddTo(command);
        arguments.AddTo(command);
        var parsed = command.Parse(given);
        var traffic = target.Traffic(parsed, arguments.InFlight(parsed));
        Assert.Equal((inFlight, tickUs), (traffic.InFlightMax, arguments.Plan(parsed, traffic).TickUs));
    }

    [Fact]
    public void Bursts_are_due_at_one_moment_on_top_of_the_steady_rate()
    {
        var schedule = new BurstSchedule(10, burst: 3, everySeconds: 0.25);
        Assert.Equal([0, 0.1, 0.2, 0.25, 0.25, 0.25, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.6], Enumerable.Range(0, 13).Select(_ => Math.Round(schedule.NextSeconds(), 6)));
    }

    [Fact]
    public async Task Diff_compares_steps_of_the_same_name_and_can_fail()
    {
        var (before, after) = (Path.Combine(dataset.Folder, "before.json"), Path.Combine(dataset.Folder, "after.json"));
        await File.WriteAllTextAsync(before, """{"steps":[{"name":"100/s","throughput_rps":100,"latency_ms":{"p50":1,"p99":2,"p999":3,"max":4}}]}""");
        await File.WriteAllTextAsync(after, """{"steps":[{"name":"100/s","throughput_rps":99,"latency_ms":{"p50":1,"p99":3,"p999":3,"max":4}}]}""");
        Assert.Equal(0, await LoadCommand.Create().Parse($"diff {before} {after}").InvokeAsync());
        Assert.Equal(0, await LoadCommand.Create().Parse($"diff {before} {after} --fail-above 60").InvokeAsync());
        Assert.Equal(1, await LoadCommand.Create().Parse($"diff {before} {after} --fail-above 40").InvokeAsync());
        await File.WriteAllTextAsync(after, """{"steps":[{"name":"200/s"}]}""");
        Assert.Equal(2, await LoadCommand.Create().Parse($"diff {before} {after}").InvokeAsync());
    }

    [Theory]
    [InlineData("--rates 0", "above 0")]
    [InlineData("--tick-us -1", "--tick-us must be 0 to 10000")]
    [InlineData("--tick-us 10001", "--tick-us must be 0 to 10000")]
    [InlineData("--mode storm", "--repository")]
    [InlineData("--plot x.png", ".svg or .html")]
    [InlineData("--items-out x", "--by-id")]
    [InlineData("--status nowhere", "http://host:port")]
    public void What_makes_no_sense_is_refused_by_name(string arguments, string told) =>
        Assert.Contains(LoadCommand.Create().Parse(arguments).Errors, e => e.Message.Contains(told, StringComparison.Ordinal));

    [Fact]
    public void Candidates_by_id_leave_their_static_features_to_the_catalog()
    {
        var schema = FeatureSchema.Parse("""
            { "name": "s", "targets": ["click"], "features": [
              { "name": "user", "side": "user", "kind": "hash", "buckets": 8, "dim": 2 },
              { "name": "article", "side": "item", "kind": "hash", "buckets": 8, "dim": 2 },
              { "name": "length", "side": "item", "kind": "numeric" },
              { "name": "clicks", "side": "item", "volatility": "live", "kind": "numeric" } ] }
            """);
        var request = new RankRequest { RequestId = "r", CandidateCount = 3 };
        request.Item.Add(new Column { Name = "article", Ints = new() { Value = { 5, 6, 5 } } });
        request.Item.Add(new Column { Name = "length", Floats = new() { Value = { 0.5f, 0.6f, 0.5f } } });
        request.Item.Add(new Column { Name = "clicks", Floats = new() { Value = { 1, 2, 3 } } });

        var byId = CatalogRequest.Of(request, "article", schema);
        Assert.Equal([5, 6, 5], byId.Catalog.Ints.Value);
        Assert.Equal(["clicks"], byId.Item.Select(c => c.Name));
        var items = Assert.Single(CatalogRequest.Items([request], "article", schema));
        Assert.Equal([5, 6], items.Put);
        Assert.Equal(["article", "length"], items.Features.Select(c => c.Name));
        Assert.Equal([0.5f, 0.6f], items.Features[1].Floats.Value);
    }

    [Theory]
    [InlineData("", Column.ValuesOneofCase.RawInt64)]
    [InlineData("--varints", Column.ValuesOneofCase.Ints)]
    public async Task Ids_are_sent_as_asked_for(string arguments, Column.ValuesOneofCase expected)
    {
        var sent = new ConcurrentBag<RankRequest>();
        await using var server = await ScriptedRanking.StartAsync(r =>
        {
            sent.Add(r);
            return Task.FromResult(ScriptedRanking.Reply(r, 1));
        });
        Assert.Equal(0, await RunAsync(server, $"--mode closed --concurrency 1 --seconds 0.2 --warm-up 0 --schema {Schemafile} --candidates 3 --pool 2 {arguments}"));
        Assert.True(sent.Count > 4);
        Assert.All(sent, r => Assert.All(r.User.Concat(r.Item), c => Assert.Equal(expected, c.ValuesCase)));
    }

    [Fact]
    public void Ids_as_varints_are_the_same_ids()
    {
        var request = new RankRequest { RequestId = "r", CandidateCount = 2, Catalog = new() { RawInt64 = Raw(-7, long.MaxValue) } };
        request.User.Add(new Column { Name = "user", RawInt64 = Raw(3) });
        request.Item.Add(new Column { Name = "article", RawInt64 = Raw(-1, 1L << 40) });
        request.Item.Add(new Column { Name = "clicks", RawFloat32 = ByteString.CopyFrom(MemoryMarshal.AsBytes<float>([1, 2])) });
        var before = request.Clone();

        var varints = VarintRequest.Of(request);

        Assert.Equal(before, request);
        Assert.Equal([-7, long.MaxValue], varints.Catalog.Ints.Value);
        Assert.Equal([3], varints.User[0].Ints.Value);
        Assert.Equal([-1, 1L << 40], varints.Item[0].Ints.Value);
        Assert.Equal(request.Item[1], varints.Item[1]);

        static ByteString Raw(params long[] ids) => ByteString.CopyFrom(MemoryMarshal.AsBytes<long>(ids));
    }

    private string Schemafile => Path.Combine(dataset.Folder, "schema.json");

    private static Task<int> RunAsync(ScriptedRanking server, string arguments) =>
        LoadCommand.Create().Parse($"--address {server.Address} {arguments}").InvokeAsync();

    private static void InterlockedMax(ref int most, int value)
    {
        for (var known = Volatile.Read(ref most); value > known; known = Volatile.Read(ref most))
            Interlocked.CompareExchange(ref most, value, known);
    }
}
