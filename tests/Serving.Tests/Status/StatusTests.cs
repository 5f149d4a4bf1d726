using System.Net;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KdServing.Serving.Tests.Status;

/// <summary>What the HTTP port tells people and programs.</summary>
public sealed class StatusTests
{
    [Fact]
    public async Task Status_tells_versions_swaps_and_latency()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        for (var i = 0; i < 20; i++)
            await server.Client.RankAsync(sample.Request(candidates: 100, seed: i));
        sample.Learn(seed: 2);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        await server.DisposedAllButTheLastAsync();

        var json = JsonDocument.Parse(await server.Http.GetStringAsync("status.json")).RootElement;
        Assert.Equal("serving", json.GetProperty("process").GetString());
        Assert.Equal("serving", json.GetProperty("state").GetString());
        Assert.Equal(Environment.ProcessId, json.GetProperty("pid").GetInt32());
        Assert.Equal(SampleStudent.Model, json.GetProperty("model").GetString());
        Assert.Equal(2, json.GetProperty("version").GetInt64());
        Assert.Equal(server.Repository.Manifest(SampleStudent.Model, 2).WatermarkMs, json.GetProperty("watermark_ms").GetInt64());
        Assert.Equal("cpu", json.GetProperty("device").GetString());
        Assert.Equal(2, json.GetProperty("versions_served").GetInt64());
        Assert.Equal(20, json.GetProperty("requests").GetInt64());
        Assert.Equal(0, json.GetProperty("errors").GetInt64());
        Assert.True(json.GetProperty("rss_mb").GetDouble() > 10);
        var latency = json.GetProperty("latency_ms");
        Assert.True(latency.GetProperty("p50").GetDouble() > 0);
        Assert.True(latency.GetProperty("p50").GetDouble() <= latency.GetProperty("p99").GetDouble());
        Assert.True(latency.GetProperty("p99").GetDouble() <= latency.GetProperty("p999").GetDouble());
        var swap = json.GetProperty("swaps")[1];
        Assert.Equal((2, 1), (swap.GetProperty("version").GetInt64(), swap.GetProperty("from").GetInt64()));
        foreach (var key in (string[])["load_started_ms", "loaded_ms", "warmed_ms", "swapped_ms", "drained_ms", "disposed_ms", "load_ms", "warm_ms", "swap_ms", "drain_ms", "rss_before_mb", "rss_after_mb"])
            Assert.Equal(JsonValueKind.Number, swap.GetProperty(key).ValueKind);
        Assert.Equal(JsonValueKind.Null, swap.GetProperty("error").ValueKind);
    }

    [Fact]
    public async Task Metrics_are_prometheus_text()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        for (var i = 0; i < 3; i++)
            await server.Client.RankAsync(sample.Request(candidates: 10, seed: i));
        var bad = sample.Request(candidates: 10, seed: 1);
        bad.CandidateCount = 0;
        await Assert.ThrowsAsync<Grpc.Core.RpcException>(async () => await server.Client.RankAsync(bad));
        using var response = await server.Http.GetAsync("metrics");
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", response.Content.Headers.ContentType!.ToString());
        var text = await response.Content.ReadAsStringAsync();
        Assert.Contains("# TYPE kd_rank_requests_total counter\n", text, StringComparison.Ordinal);
        Assert.Contains("\nkd_rank_requests_total{code=\"OK\"} 3\n", text, StringComparison.Ordinal);
        Assert.Contains("\nkd_rank_requests_total{code=\"InvalidArgument\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("\nkd_rank_candidates_total 30\n", text, StringComparison.Ordinal);
        Assert.Contains("\nkd_rank_duration_seconds_count 3\n", text, StringComparison.Ordinal);
        Assert.Contains("\nkd_rank_duration_seconds_bucket{le=\"+Inf\"} 3\n", text, StringComparison.Ordinal);
        Assert.Contains("\nkd_model_version 1\n", text, StringComparison.Ordinal);
        Assert.Matches("\nkd_teacher_version\\{teacher=\"sample_teacher\"\\} [0-9]+\n", text);
        Assert.Contains("\nkd_swaps_total 1\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("\r", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Healthz_follows_the_model()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample: null);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await server.Http.GetAsync("healthz")).StatusCode);
        sample.Publish(server.Repository);
        await server.ServesAsync(1);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.GetAsync("healthz")).StatusCode);
    }

    [Fact]
    public async Task A_status_file_that_can_not_be_written_does_not_stop_the_server()
    {
        using var folder = new TemporaryFolder();
        using var log = new LogCollector();
        await using var host = await ServingHost.StartAsync(new() { Repository = folder.Path, Model = "sample", StatusFile = folder["nowhere/status.json"] },
            l => l.AddProvider(log));
        await Eventually.HoldsAsync(() => log.Holds(LogLevel.Warning, "status not written"), "the refusal is said");

        Directory.CreateDirectory(folder["nowhere"]);
        await Eventually.HoldsAsync(() => File.Exists(folder["nowhere/status.json"]), "the next second tries again");
        Assert.False(host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping.IsCancellationRequested);
        log.RequireNoErrors();
    }

    [Fact]
    public async Task The_page_needs_nothing_from_elsewhere()
    {
        await using var server = await RunningServer.StartAsync(sample: null);
        var page = await server.Http.GetStringAsync("");
        Assert.StartsWith("<!doctype html>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("src=", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<link", page, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync("%2e%2e/etc/passwd")).StatusCode);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await server.Http.PostAsync("status.json", null)).StatusCode);
    }
}
