using System.CommandLine;
using System.Diagnostics;
using System.Text;
using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Serving.Catalog;

/// <summary><c>items load</c>, <c>put</c>, <c>remove</c>, <c>check</c>, <c>status</c> and <c>trim</c>: what is in a model's item stream, and putting it there.</summary>
public static class ItemsCommand
{
    private const int Failed = 1;
    private const int BadArguments = 2;
    private const int FaultsShown = 10;
    // Appends on their way at a time: hides the round trip without filling the client's queue.
    private const int AppendsInFlight = 8;

    public static RootCommand Create()
    {
        var file = new Argument<string>("file") { Description = "Bulk file: *.jsonl with an item a line ({\"id\": 7, \"features\": {…}} or {\"id\": 7, \"remove\": true}), any other name length-delimited ItemBatch messages" };
        var json = new Argument<string[]>("item") { Description = "Items as JSON: '{\"id\": 7, \"features\": {\"article\": 7, \"words\": 120}}'", Arity = ArgumentArity.OneOrMore };
        var ids = new Argument<long[]>("id") { Description = "Ids of the items", Arity = ArgumentArity.OneOrMore };
        var before = new Argument<string>("id") { Description = "Stream id, e.g. 1763600000000-0; entries before it go" };

        var load = new Command("load", "Puts and removes the items of a bulk file.") { file };
        var put = new Command("put", "Puts items given on the command line.") { json };
        var remove = new Command("remove", "Removes items.") { ids };
        var check = new Command("check", "Reads a bulk file and tells what is wrong with it; writes nothing.") { file };
        var status = new Command("status", "Shows the item stream, its dead letters, and what a server has of it.");
        var trim = new Command("trim", "Removes old entries from the stream: only once every item was put again after them, and every server has read it.") { before };
        var options = new Options([load, put, remove, check, status, trim], [load, put, remove, status, trim], [load, put, remove, check]);
        var page = new Option<string?>("--status-page") { Description = "Address of a server's status page, e.g. http://127.0.0.1:8501" };
        status.Add(page);

        load.SetAction((r, stop) => options.RunAsync(r, async (stream, schema, output) => await LoadAsync(output, r.InvocationConfiguration.Error, stream!, schema!, r.GetRequiredValue(file), stop)));
        check.SetAction((r, stop) => options.RunAsync(r, async (_, schema, output) => await LoadAsync(output, r.InvocationConfiguration.Error, null, schema!, r.GetRequiredValue(file), stop)));
        put.SetAction((r, _) => options.RunAsync(r, (stream, schema, output) => PutAsync(output, stream!, schema!, r.GetRequiredValue(json))));
        remove.SetAction((r, _) => options.RunAsync(r, async (stream, schema, output) =>
        {
            var batch = new ItemBatch { Remove = { r.GetRequiredValue(ids) } };
            await output.WriteLineAsync($"entry {await stream!.AppendAsync(batch, schema!)} removes {batch.Remove.Count} items");
            return 0;
        }));
        status.SetAction((r, _) => options.RunAsync(r, (stream, _, output) => StatusAsync(output, stream!, r.GetValue(page))));
        trim.SetAction((r, _) => options.RunAsync(r, async (stream, _, output) =>
        {
            await output.WriteLineAsync($"{await stream!.TrimAsync(Id(r.GetRequiredValue(before)))} entries removed");
            return 0;
        }));
        return new("Items of a model's catalog: servers started with --catalog read them from a Redis stream.") { load, put, remove, check, status, trim };
    }

    private static async Task<int> LoadAsync(TextWriter output, TextWriter error, ItemStream? stream, FeatureSchema schema, string file, CancellationToken stop)
    {
        if (!File.Exists(file))
            throw new ContractException("file", $"there is no file {file}");
        var watch = Stopwatch.StartNew();
        var (put, removed, entries, faults, told) = (0L, 0L, 0L, 0L, 0L);
        var pending = new Queue<Task>();
        foreach (var entry in ItemFile.Read(file, schema))
        {
            stop.ThrowIfCancellationRequested();
            if (entry.Fault is { } fault)
            {
                if (faults++ < FaultsShown)
                    await error.WriteLineAsync($"line or message {entry.Place}: {fault.Message}");
                continue;
            }
            var batch = entry.Batch!;
            if (stream is not null)
                pending.Enqueue(stream.AppendAsync(batch, schema));
            if (pending.Count >= AppendsInFlight)
                await pending.Dequeue();
            (put, removed, entries) = (put + batch.Put.Count, removed + batch.Remove.Count, entries + 1);
            if (watch.ElapsedMilliseconds - told > 1000 && !Console.IsErrorRedirected)
            {
                told = watch.ElapsedMilliseconds;
                await Console.Error.WriteAsync($"\r{put:N0} items put, {removed:N0} removed, {put * 1000.0 / watch.ElapsedMilliseconds:N0} items/s ");
            }
        }
        await Task.WhenAll(pending);
        await output.WriteLineAsync($"{(told > 0 ? "\n" : "")}{put:N0} items put and {removed:N0} removed in {entries:N0} {(stream is null ? "batches (nothing written)" : "stream entries")}, {faults:N0} lines or messages left out, {watch.Elapsed.TotalSeconds:0.0} s");
        return faults > 0 ? Failed : 0;
    }

    private static async Task<int> PutAsync(TextWriter output, ItemStream stream, FeatureSchema schema, string[] items)
    {
        foreach (var entry in ItemFile.Parse(items, schema).ToList())
        {
            if (entry.Fault is { } fault)
                throw new ContractException($"item {entry.Place}", fault.Message);
            await output.WriteLineAsync($"entry {await stream.AppendAsync(entry.Batch!, schema)}: {entry.Batch!.Put.Count} items put, {entry.Batch.Remove.Count} removed");
        }
        return 0;
    }

    private static async Task<int> StatusAsync(TextWriter output, ItemStream stream, string? page)
    {
        var (length, first, last) = await stream.ExtentAsync();
        await output.WriteLineAsync(length == 0 ? "stream      empty" : $"stream      {length:N0} entries, {first} to {last}");
        var (dead, newest) = await stream.DeadLettersAsync();
        await output.WriteLineAsync($"dead        {dead:N0}{(newest is null ? "" : $"; newest: {newest}")}");
        if (page is null)
            return 0;
        using var http = new HttpClient { BaseAddress = new(page.TrimEnd('/') + "/"), Timeout = TimeSpan.FromSeconds(5) };
        using var report = System.Text.Json.JsonDocument.Parse(await http.GetStringAsync("status.json"));
        if (!report.RootElement.TryGetProperty("catalog", out var catalog) || catalog.ValueKind != System.Text.Json.JsonValueKind.Object)
            throw new ContractException("--status-page", "that server has no item catalog (it was started without --catalog)");
        var text = new StringBuilder();
        foreach (var property in catalog.EnumerateObject().SelectMany(p => p.Name == "figures" ? p.Value.EnumerateObject().AsEnumerable() : [p]))
            text.AppendLine($"{property.Name,-20} {property.Value}");
        await output.WriteAsync(text);
        return 0;
    }

    private static StreamId Id(string text)
    {
        try
        {
            return StreamId.Parse(text);
        }
        catch (FormatException e)
        {
            throw new ContractException("id", e.Message);
        }
    }

    /// <summary>Options most of the verbs share, and what they open.</summary>
    private sealed class Options
    {
        private readonly Option<string> model = new("--model") { Description = "Name of the model", Required = true };
        private readonly Option<string> redis = new("--redis") { Description = "HOST:PORT of Redis", Required = true };
        private readonly Option<string?> schema = new("--schema") { Description = "schema.json of the model" };
        private readonly Option<string?> repository = new("--repository") { Description = "Instead of --schema: the model repository, whose newest version says it" };

        public Options(Command[] all, Command[] withRedis, Command[] withSchema)
        {
            foreach (var command in all)
                command.Add(model);
            foreach (var command in withRedis)
                command.Add(redis);
            foreach (var command in withSchema)
            {
                command.Add(schema);
                command.Add(repository);
            }
        }

        public async Task<int> RunAsync(ParseResult result, Func<ItemStream?, FeatureSchema?, TextWriter, Task<int>> action)
        {
            try
            {
                var name = Identifier.Require(result.GetRequiredValue(model), "--model");
                var known = result.CommandResult.Command.Options.Contains(schema) ? ReadSchema(result, name) : null;
                if (!result.CommandResult.Command.Options.Contains(redis))
                    return await action(null, known, result.InvocationConfiguration.Output);
                using var connection = await ConnectAsync(result.GetRequiredValue(redis));
                return await action(new(connection.GetDatabase(), name), known, result.InvocationConfiguration.Output);
            }
            catch (ContractException e)
            {
                await result.InvocationConfiguration.Error.WriteLineAsync(e.Message);
                return e.Field.StartsWith("--", StringComparison.Ordinal) || e.Field == "file" ? BadArguments : Failed;
            }
            catch (Exception e) when (e is RedisException or TimeoutException or IOException or HttpRequestException or TaskCanceledException)
            {
                await result.InvocationConfiguration.Error.WriteLineAsync(e.Message.Split('\n', 2)[0]);
                return Failed;
            }
        }

        private FeatureSchema ReadSchema(ParseResult result, string name)
        {
            if (result.GetValue(schema) is { } file)
                return FeatureSchema.Load(file);
            if (result.GetValue(repository) is not { } folder)
                throw new ContractException("--schema", "or --repository must be given: they say what features an item has");
            var versions = new ModelRepository(folder);
            if (versions.Versions(name) is not [.., var newest])
                throw new ContractException("--repository", $"holds no version of '{name}'; give --schema");
            return FeatureSchema.Parse(Encoding.UTF8.GetString(versions.ReadVerified(versions.Manifest(name, newest), StudentSignature.SchemaFile)));
        }

        private static async Task<ConnectionMultiplexer> ConnectAsync(string endpoint)
        {
            ConfigurationOptions options;
            try
            {
                options = ConfigurationOptions.Parse(endpoint);
            }
            catch (ArgumentException e)
            {
                throw new ContractException("--redis", $"'{endpoint}' is not HOST:PORT ({e.Message})");
            }
            options.AbortOnConnectFail = true;
            options.ConnectTimeout = 3000;
            try
            {
                return await ConnectionMultiplexer.ConnectAsync(options);
            }
            catch (RedisConnectionException)
            {
                throw new ContractException("--redis", $"no Redis answers at {endpoint.Split(',')[0]}");
            }
        }
    }
}
