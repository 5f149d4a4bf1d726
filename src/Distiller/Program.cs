using System.CommandLine;
using KdServing.Contracts;
using KdServing.Distiller;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;
using StackExchange.Redis;

const int Failed = 1;
const int BadConfiguration = 2;

var config = new Option<FileInfo>("--config") { Description = "distiller.json: losses, optimiser, refresh, checkpoint.", Required = true };
var schema = new Option<FileInfo?>("--schema") { Description = "schema.json; by default the one beside distiller.json." };
var student = new Option<FileInfo?>("--student") { Description = "student.json; by default the one beside distiller.json." };
var redis = new Option<string>("--redis") { Description = "Redis, HOST:PORT.", DefaultValueFactory = _ => "127.0.0.1:6379" };
var repository = new Option<DirectoryInfo>("--repository") { Description = "Model repository to publish to.", DefaultValueFactory = _ => new("models") };
var state = new Option<DirectoryInfo>("--state") { Description = "Folder of checkpoints.", DefaultValueFactory = _ => new("state") };
var status = new Option<FileInfo?>("--status") { Description = "File to which the status is written once a second, as JSON." };
var frozenAfter = new Option<double?>("--frozen-after-seconds") { Description = "Keep the version that is live so many seconds after the first record as a frozen comparison." };
var untilIdle = new Option<double?>("--until-idle-seconds") { Description = "Stop when the stream has been silent for so many seconds." };
var acceptLoss = new Option<bool>("--accept-loss") { Description = "Go on from the newest whole checkpoint although the streams no longer hold all that came after it." };
var lease = new Option<double>("--lease-seconds")
{
    Description = "Another Distiller may take the model when this one has not been heard of for so many seconds, 0.5 to 3600.",
    DefaultValueFactory = _ => ModelOwner.DefaultLease.TotalSeconds,
};
lease.Validators.Add(r =>
{
    if (!r.Errors.Any() && r.GetValueOrDefault<double>() is var seconds && !(seconds >= 0.5 && seconds <= 3600))
        r.AddError("--lease-seconds must be from 0.5 to 3600");
});
NotNegative(frozenAfter);
NotNegative(untilIdle);

var root = new RootCommand("Trains a student on a stream of teacher logits and publishes its versions.")
{
    config, schema, student, redis, repository, state, status, frozenAfter, untilIdle, acceptLoss, lease,
};
root.Add(KdServing.Distiller.Losses.LossesCommand.Create());
root.Add(KdServing.Distiller.Methods.PresetsCommand.Create());
root.Add(ReplayCommand.Create());
root.Add(KdServing.Distiller.Offline.TrainCommand.Create());
root.Add(KdServing.Distiller.Offline.CompareCommand.Create());
root.Add(KdServing.Distiller.Offline.EasyRec.ImportCommand.Create());
root.SetAction(RunAsync);
var parsed = root.Parse(args);
// A stop in order saves the state first; the default of two seconds is too short for a busy disk.
if (parsed.Errors.Count == 0)
    return await parsed.InvokeAsync(new() { ProcessTerminationTimeout = TimeSpan.FromMinutes(2) });
await parsed.InvokeAsync();
return BadConfiguration;

async Task<int> RunAsync(ParseResult arguments, CancellationToken stop)
{
    try
    {
        var file = arguments.GetValue(config)!;
        var settings = DistillerConfig.Parse(Read(file.FullName, "--config"));
        var beside = file.DirectoryName!;
        var features = FeatureSchema.Parse(Read(arguments.GetValue(schema)?.FullName ?? Path.Combine(beside, "schema.json"), "--schema"));
        var shape = StudentConfig.Parse(Read(arguments.GetValue(student)?.FullName ?? Path.Combine(beside, "student.json"), "--student"));
        var options = new DistillerOptions(arguments.GetValue(redis)!, arguments.GetValue(repository)!.FullName,
            arguments.GetValue(state)!.FullName, arguments.GetValue(status)?.FullName,
            arguments.GetValue(frozenAfter), arguments.GetValue(untilIdle))
        {
            AcceptLoss = arguments.GetValue(acceptLoss),
            Lease = TimeSpan.FromSeconds(arguments.GetValue(lease)),
        };
        NativeLibraries.Require(settings.Threads);
        RequireFolder(options.RepositoryFolder, "--repository");
        RequireFolder(options.StateFolder, "--state");
        using var connection = Connect(options.Redis);
        try
        {
            await using var loop = new DistillationLoop(features, shape, settings, options, connection.GetDatabase());
            await loop.RunAsync(stop);
        }
        finally
        {
            // Every command has been awaited; Dispose alone makes release 1.2.6 wait out its syncTimeout.
            connection.Close(allowCommandsToComplete: false);
        }
        return 0;
    }
    catch (ContractException e)
    {
        DistillerLog.Error(e.Message);
        return BadConfiguration;
    }
    catch (OperationCanceledException) when (stop.IsCancellationRequested)
    {
        return 0;
    }
    catch (RedisServerException e)
    {
        DistillerLog.Error($"Redis at {arguments.GetValue(redis)} refuses: {e.Message}");
        return Failed;
    }
    catch (Exception e) when (e is IOException or UnauthorizedAccessException or RedisException or NotFiniteNumberException
        or OwnershipLostException or DllNotFoundException)
    {
        DistillerLog.Error(e.Message);
        return Failed;
    }
    catch (Exception e)
    {
        // A fault of ours: whoever reports it needs the whole of it.
        DistillerLog.Error(e.ToString());
        return Failed;
    }
}

static void NotNegative(Option<double?> option) => option.Validators.Add(r =>
{
    if (r.Errors.Any() || r.Tokens.Count == 0)
        return;
    if (!double.TryParse(r.Tokens[0].Value, System.Globalization.CultureInfo.InvariantCulture, out var value) || !(value >= 0))
        r.AddError($"{option.Name} must be 0 or more");
});

// Now, not at the first publish.
static void RequireFolder(string path, string option)
{
    try
    {
        Directory.CreateDirectory(path);
    }
    catch (Exception e) when (e is IOException or UnauthorizedAccessException)
    {
        throw new ContractException(option, $"can not be made: {e.Message}");
    }
}

static string Read(string path, string option) => File.Exists(path)
    ? File.ReadAllText(path)
    : throw new ContractException(option, $"no file {path}");

static ConnectionMultiplexer Connect(string endpoint)
{
    try
    {
        return ConnectionMultiplexer.Connect($"{endpoint},abortConnect=false,connectRetry=3,connectTimeout=2000,syncTimeout=10000");
    }
    catch (ArgumentException e)
    {
        throw new ContractException("--redis", $"'{endpoint}' is not HOST:PORT ({e.Message})");
    }
}
