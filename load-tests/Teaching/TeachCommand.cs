using System.CommandLine;
using System.Globalization;
using KdServing.Contracts;
using KdServing.Datasets;
using StackExchange.Redis;

namespace KdServing.LoadTests.Teaching;

/// <summary><c>kd teach</c>: plays the ranking service whose logits are distilled.</summary>
public static class TeachCommand
{
    public static Command Create()
    {
        var data = new Option<string>("--data") { Description = "Folder of a dataset with a sample of its name, or with a dataset.json inside; or 'synthetic'.", DefaultValueFactory = _ => "synthetic" };
        var dataset = new Option<string?>("--dataset") { Description = "Folder of samples to describe the data by; default: the repository's." };
        var config = new Option<string?>("--config") { Description = "The teacher's shape and learning; default: teacher.json of the sample." };
        var redis = new Option<string>("--redis") { Description = "Where to stream, HOST:PORT.", DefaultValueFactory = _ => "127.0.0.1:6379" };
        var model = new Option<string?>("--model") { Description = "Model whose stream to write; default: the schema's name." };
        var rate = new Option<string>("--rate") { Description = "Impressions a second, or 'auto': 70 % of the slower of teacher and Distiller.", DefaultValueFactory = _ => "auto" };
        var paceBy = new Option<string?>("--pace-by") { Description = "Status file of the Distiller, for --rate auto." };
        var status = new Option<string?>("--status") { Description = "Write the status to this file each second; beside it, what a restart needs to continue." };
        var producedLog = new Option<string?>("--produced-log") { Description = "Append the stream id of each record to this file." };
        var labelDelay = new Option<double>("--label-delay-seconds") { Description = "Send labels after their records, by so much event time, on the stream of labels (distiller.json needs \"labels\"); 0: with them." };
        var cache = new Option<string?>("--cache") { Description = "Folder of prepared teachers. Default: .kd/cache/teacher." };
        var seconds = new Option<double>("--seconds") { Description = "Streaming time; 0: to the end of the data." };
        var prepareSeconds = new Option<double>("--prepare-seconds") { Description = "Time to learn the history in, at most.", DefaultValueFactory = _ => 100 };
        var prepareOnly = new Option<bool>("--prepare-only") { Description = "Prepare (or find in the cache), report, and stop." };
        var seed = new Option<ulong>("--seed") { Description = "Of the teacher's first weights.", DefaultValueFactory = _ => 1 };
        rate.Validators.Add(r =>
        {
            if (r.GetValueOrDefault<string>() is { } text && text != "auto" && !TryRate(text, out _))
                r.AddError("--rate must be 'auto' or a number above 0");
        });
        prepareSeconds.Validators.Add(r =>
        {
            if (!(r.GetValueOrDefault<double>() > 0))
                r.AddError("--prepare-seconds must be above 0");
        });
        labelDelay.Validators.Add(r =>
        {
            if (!(r.GetValueOrDefault<double>() >= 0))
                r.AddError("--label-delay-seconds must be 0 or more");
        });
        seconds.Validators.Add(r =>
        {
            if (!(r.GetValueOrDefault<double>() >= 0))
                r.AddError("--seconds must be 0 or more");
        });

        var command = new Command("teach", "Play a teacher: learn the history, then score impressions in event order, stream the logits, and learn on.")
        {
            data, dataset, config, redis, model, rate, paceBy, status, producedLog, labelDelay, cache, seconds, prepareSeconds, prepareOnly, seed,
        };
        command.SetAction((parsed, cancellation) => RunAsync(new()
        {
            Data = parsed.GetValue(data)!,
            Samples = parsed.GetValue(dataset),
            Config = parsed.GetValue(config),
            Redis = parsed.GetValue(redis)!,
            Model = parsed.GetValue(model),
            Rate = TryRate(parsed.GetValue(rate)!, out var fixedRate) ? fixedRate : null,
            PaceBy = parsed.GetValue(paceBy),
            Status = parsed.GetValue(status),
            ProducedLog = parsed.GetValue(producedLog),
            LabelDelaySeconds = parsed.GetValue(labelDelay) is > 0 and var delay ? delay : null,
            Cache = parsed.GetValue(cache) ?? Path.Combine(Environment.CurrentDirectory, ".kd", "cache", "teacher"),
            Seconds = parsed.GetValue(seconds) is > 0 and var s ? s : null,
            PrepareSeconds = parsed.GetValue(prepareSeconds),
            PrepareOnly = parsed.GetValue(prepareOnly),
            Seed = parsed.GetValue(seed),
        }, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(TeachOptions options, CancellationToken cancellation)
    {
        try
        {
            // Torch's scopes belong to a thread: the whole run has one of its own.
            return await Task.Factory.StartNew(() => new TeachRun(options).Run(cancellation), CancellationToken.None,
                TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        catch (Exception e) when (e is ContractException or DatasetException)
        {
            await Console.Error.WriteLineAsync($"kd teach: {e.Message}");
            return 2;
        }
        catch (RedisServerException e)
        {
            await Console.Error.WriteLineAsync($"kd teach: Redis at {options.Redis} refuses: {e.Message}");
            return 1;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or DllNotFoundException or RedisException)
        {
            await Console.Error.WriteLineAsync($"kd teach: {e.Message}");
            return 1;
        }
    }

    private static bool TryRate(string text, out double rate) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out rate) && double.IsFinite(rate) && rate > 0;
}
