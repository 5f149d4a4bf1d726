using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.LoadTests.Demo;
using StackExchange.Redis;

namespace KdServing.LoadTests.Kills;

/// <summary><c>kd verify-kills</c>: a Distiller that dies again and again learns what one that never dies learns.</summary>
internal static class VerifyKillsCommand
{
    public static Command Create()
    {
        var kills = new Option<int>("--kills") { Description = "Deaths, each before a random step.", DefaultValueFactory = _ => 100 };
        var seed = new Option<int>("--seed") { Description = "Of records and moments.", DefaultValueFactory = _ => 1 };
        var shards = new Option<int>("--shards") { Description = "Streams the records are spread over.", DefaultValueFactory = _ => 2 };
        var report = new Option<string?>("--report") { Description = "Write the findings to this file, as JSON." };
        foreach (var (option, most) in ((Option<int>, int)[])[(kills, 1_000_000), (shards, StreamKeys.MaxShards)])
        {
            option.Validators.Add(r =>
            {
                if (!int.TryParse(r.Tokens.Count == 0 ? "1" : r.Tokens[0].Value, CultureInfo.InvariantCulture, out var value) || value < 1 || value > most)
                    r.AddError($"{option.Name} must be from 1 to {most}");
            });
        }
        var command = new Command("verify-kills", "Kill a Distiller between any two of its steps, again and again, and compare what it learned with an undisturbed run.")
        {
            kills, seed, shards, report,
        };
        command.SetAction((parsed, cancellation) => RunAsync(parsed.GetValue(kills), parsed.GetValue(seed), parsed.GetValue(shards), parsed.GetValue(report), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(int kills, int seed, int shards, string? reportFile, CancellationToken cancellation)
    {
        var folder = Directory.CreateTempSubdirectory("kd-kills-").FullName;
        var port = FreePort.Next();
        using var redis = Process.Start(new ProcessStartInfo("redis-server",
            ["--port", port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--loglevel", "warning"])
        { RedirectStandardOutput = true })!;
        var (previous, errors) = (Console.Out, Console.Error);
        try
        {
            var endpoint = $"127.0.0.1:{port}";
            using var connection = await ConnectAsync(endpoint, redis, cancellation);
            // The Distiller's own lines, thousands of lives of them, are no use here.
            Console.SetOut(TextWriter.Null);
            Console.SetError(TextWriter.Null);
            var report = await new KillRun(connection, endpoint, folder, kills, seed, shards, previous.WriteLine).RunAsync(cancellation);
            connection.Close(allowCommandsToComplete: false);
            if (reportFile is not null)
                await File.WriteAllTextAsync(reportFile, JsonSerializer.Serialize(report, ContractJson.Options), cancellation);
            Summarise(report, previous);
            return report.Holds ? 0 : 1;
        }
        finally
        {
            Console.SetOut(previous);
            Console.SetError(errors);
            redis.Kill();
            await redis.WaitForExitAsync(CancellationToken.None);
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<ConnectionMultiplexer> ConnectAsync(string endpoint, Process redis, CancellationToken cancellation)
    {
        while (true)
        {
            if (redis.HasExited)
                throw new DemoException($"redis-server ended with exit code {redis.ExitCode}");
            try
            {
                return await ConnectionMultiplexer.ConnectAsync($"{endpoint},connectTimeout=500,syncTimeout=10000");
            }
            catch (RedisConnectionException)
            {
                await Task.Delay(50, cancellation);
            }
        }
    }

    private static void Summarise(KillReport report, TextWriter output)
    {
        var records = report.Records;
        output.WriteLine($"kills      {report.Kills} in {report.Seconds:0} s: {string.Join(", ", report.ByStep.Select(s => $"{s.Key} {s.Value}"))}");
        output.WriteLine($"records    {records.Produced:N0} produced, {records.Applied:N0} applied, {records.Lost} lost, {records.AppliedTwice} applied twice");
        output.WriteLine($"poison     {records.Poisoned} written, {records.DeadLettered} dead letters; repeats {records.Repeated} written, {records.Recognised} recognised");
        output.WriteLine($"versions   {report.Versions.Published} published, {report.Versions.Changed} changed, {report.Versions.Gaps} left out");
        output.WriteLine($"weights    {report.WeightsSha256[..16]}…, {(report.WeightsEqualUnkilledRun ? "equal to" : "DIFFERENT from")} those of the undisturbed run");
        output.WriteLine($"teacher    what is remembered of its versions is {(report.CalibrationEqualUnkilledRun ? "equal to" : "DIFFERENT from")} that of the undisturbed run");
    }
}
