using System.Text.Json.Nodes;
using KdServing.EndToEnd.Tests.Data;
using KdServing.LoadTests.Traffic;

namespace KdServing.EndToEnd.Tests.Traffic;

public sealed class TrafficCommandTests : IDisposable
{
    private const string Schema = """
        { "name": "clicks", "targets": ["click"], "features": [
          { "name": "user", "side": "user", "kind": "hash", "buckets": 64, "dim": 4 },
          { "name": "article", "side": "item", "kind": "hash", "buckets": 64, "dim": 4 } ] }
        """;

    private readonly TemporaryDataset _dataset = new(ClickLogFixture.Description());

    public TrafficCommandTests()
    {
        var rows = ClickLogFixture.Rows(1000, seed: 1);
        _dataset.Write("day-1.csv", ClickLogFixture.Csv(rows[..500]));
        _dataset.Write("day-2.csv.gz", ClickLogFixture.Csv(rows[500..]));
        File.WriteAllText(Path.Combine(_dataset.Folder, "schema.json"), Schema);
    }

    public void Dispose() => _dataset.Dispose();

    [Fact]
    public async Task Rank_reports_what_it_did()
    {
        await using var server = await ScriptedRanking.StartAsync(r => Task.FromResult(ScriptedRanking.Reply(r, 3)));
        var report = Path.Combine(_dataset.Folder, "report.json");
        var latencies = Path.Combine(_dataset.Folder, "latencies.csv");
        var code = await RankCommand.Create().Parse(
            $"--address {server.Address} --data {_dataset.Folder} --samples {_dataset.Folder} --seconds 0.5 --rate 100 --arrivals Constant --candidates 40 --report {report} --latencies {latencies}")
            .InvokeAsync();

        Assert.Equal(0, code);
        var json = JsonNode.Parse(await File.ReadAllTextAsync(report))!;
        Assert.Equal((50, 50, 0, 40), ((int)json["requests"]!, (int)json["served"]!, (int)json["errors"]!, (int)json["candidates_per_request"]!));
        Assert.Equal(3, (int)json["versions"]![0]!["version"]!);
        Assert.True((double)json["latency_ms"]!["p99"]! > 0);
        var lines = await File.ReadAllLinesAsync(latencies);
        Assert.Equal("intended_unix_ms,latency_us,version", lines[0]);
        Assert.Equal(50, lines.Skip(1).Count(l => l.EndsWith(",3", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Rank_fails_when_a_request_fails_and_when_the_data_is_unknown()
    {
        await using var server = await ScriptedRanking.StartAsync(_ => throw new InvalidOperationException());
        Assert.Equal(1, await RankCommand.Create().Parse($"--address {server.Address} --data {_dataset.Folder} --samples x --seconds 0.1 --candidates 5").InvokeAsync());
        Assert.Equal(2, await RankCommand.Create().Parse($"--address {server.Address} --data /nowhere/nothing --samples x").InvokeAsync());
        Assert.NotEmpty(RankCommand.Create().Parse("--rate -1").Errors);
        Assert.NotEmpty(RankCommand.Create().Parse("--address ftp://x").Errors);
        Assert.Contains("no folder", Assert.Single(RankCommand.Create().Parse("--report /nowhere/report.json").Errors).Message);
    }
}
