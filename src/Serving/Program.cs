using System.CommandLine;
using KdServing.Contracts;
using KdServing.Serving;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Catalog;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using Microsoft.AspNetCore.Connections;

const int Failed = 1;
const int BadArguments = 2;

if (args is ["items", ..])
{
    var verb = ItemsCommand.Create().Parse(args[1..]);
    var result = await verb.InvokeAsync();
    return verb.Errors.Count > 0 ? BadArguments : result;
}

var repository = new Option<string>("--repository") { Description = "Folder of the model repository", Required = true };
var model = new Option<string>("--model") { Description = "Name of the model to serve", Required = true };
var address = new Option<string>("--address") { Description = "IP address to listen on; there is no TLS and no authentication, so keep it to networks you trust", DefaultValueFactory = _ => "127.0.0.1" };
var port = new Option<int>("--port") { Description = "gRPC port (HTTP/2 without TLS); 0 chooses a free one", DefaultValueFactory = _ => 8500 };
var httpPort = new Option<int?>("--http-port") { Description = "Port of the status page, /status.json, /metrics and /healthz; 0 chooses a free one; left out: none" };
var redis = new Option<string?>("--redis") { Description = "HOST:PORT of the Redis that announces versions; left out: the repository's folder is watched" };
var device = new Option<InferenceDevice>("--device") { Description = "What scores: cpu, cuda (fails without), auto (says which)", DefaultValueFactory = _ => InferenceDevice.Cpu };
var engine = new Option<EngineChoice>("--engine") { Description = "What computes scores: auto (the GPU, if --device is one; else the hand-written kernel where it agrees with ONNX Runtime), vectors (the kernel with plain products: neither on the processor's matrix unit nor in pairs), onnx", DefaultValueFactory = _ => EngineChoice.Auto };
var batchUs = new Option<int?>("--batch-us")
{
    Description = "Longest time, in microseconds, a request waits for others to share a run of ONNX Runtime with; 0: none waits; "
    + $"left out: {BatchingOptions.CudaDefaultMicroseconds} on CUDA, 0 on the CPU. Requests scored by the hand-written kernel never wait"
};
var batchCandidates = new Option<int>("--batch-candidates") { Description = "Candidates of requests that share a run; a request with more goes by itself", DefaultValueFactory = _ => BatchingOptions.DefaultMaxCandidates };
var batchForced = new Option<bool>("--batch-forced") { Description = "Let requests wait for others even where the server finds that it does not help; for measurements" };
var cudaLanes = new Option<int>("--cuda-lanes") { Description = "Requests a GPU scores at a time, each on a stream and a thread of its own", DefaultValueFactory = _ => new DeviceOptions().Lanes };
var cudaGraphs = new Option<bool>("--cuda-graphs") { Description = "Replay captured runs on a GPU instead of starting each operator; false is for measurements", DefaultValueFactory = _ => true };
var status = new Option<string?>("--status") { Description = "File the status is written to once a second, as JSON" };
var limits = new RankingLimits();
var maxCandidates = new Option<int>("--max-candidates") { Description = "Candidates a request may hold", DefaultValueFactory = _ => limits.MaxCandidates };
var concurrency = new Option<int>("--concurrency") { Description = "Requests scored at a time", DefaultValueFactory = _ => limits.Concurrency };
var maxQueueMs = new Option<double>("--max-queue-ms") { Description = "Expected wait, in milliseconds, beyond which a request is refused at once", DefaultValueFactory = _ => limits.MaxQueueMs };
var niceness = new Option<int>("--loader-niceness") { Description = "How much loading a version gives way to requests, 0 to 19", DefaultValueFactory = _ => 10 };
var rehearsalSeconds = new Option<double>("--rehearsal-seconds") { Description = "Longest time the server sends its first version sample requests before it serves, so that its code is compiled when clients come; 0: none", DefaultValueFactory = _ => 3 };
var catalog = new Option<string?>("--catalog") { Description = "Folder of the item catalog's snapshots; requests may then send item ids instead of features; left out: no catalog" };
var items = new Option<string?>("--items") { Description = "With --catalog: bulk file of items (.jsonl, or delimited protobuf), read at the start and whenever it is replaced" };
var catalogVectors = new Option<ItemVectorFormat>("--catalog-vectors") { Description = "With --catalog: what item vectors are kept as, float32 or bfloat16 (half the memory)", DefaultValueFactory = _ => ItemVectorFormat.Float32 };
var catalogWaitMs = new Option<int>("--catalog-wait-ms") { Description = "With --catalog: longest time a new version waits for the vectors of 99 % of the requested items", DefaultValueFactory = _ => 5000 };
var catalogMaxItems = new Option<int>("--catalog-max-items") { Description = "With --catalog: items it may hold", DefaultValueFactory = _ => 10_000_000 };
var controlPort = new Option<int?>("--control-port") { Description = "Port people command the server through ('kd models --control'); 0 chooses a free one; left out: nobody can" };
var controlAddress = new Option<string>("--control-address") { Description = "IP address of the control listener; one others can reach needs --control-token-file", DefaultValueFactory = _ => "127.0.0.1" };
var controlToken = new Option<string?>("--control-token-file") { Description = "File whose first line is the token that commands must carry; left out: whoever is on this machine may command" };
var state = new Option<string?>("--state") { Description = "Folder of what survives a restart: pins, and copies of the versions relied on; left out: nothing does" };
var trustedKeys = new Option<string?>("--trusted-keys") { Description = "File of public keys (PEM): only versions signed by one of them are served" };
var transfer = new Option<bool>("--transfer") { Description = "Fetch versions through Redis into --repository, which is then this server's own folder" };
var policy = new RolloutPolicy();
var maxChurn = new Option<double?>("--max-churn") { Description = "Hold back a version that changes more than this share of the top candidates of recent requests, 0 to 1; left out: churn is only reported" };
var canaryShare = new Option<double>("--canary-share") { Description = "Share of the requests a new version gets at first, by hash of their id; 0: all at once", DefaultValueFactory = _ => policy.CanaryShare };
var canarySeconds = new Option<double>("--canary-seconds") { Description = "Time a new version stays a canary", DefaultValueFactory = _ => policy.CanaryTime.TotalSeconds };
var shadowShare = new Option<double>("--shadow-share") { Description = "Share of the requests a canary also scores beside the requests' path, to compare orders", DefaultValueFactory = _ => policy.ShadowShare };
var probationSeconds = new Option<double>("--probation-seconds") { Description = "Time after a swap in which a version that fails is rolled back by itself; 0: never", DefaultValueFactory = _ => policy.Probation.TotalSeconds };
var maxFailureShare = new Option<double>("--max-failure-share") { Description = "Share of the requests a new version may fail that the one before can answer", DefaultValueFactory = _ => policy.MaxFailureShare };
var maxFidelityDrop = new Option<double?>("--max-fidelity-drop") { Description = "Roll back a version whose overlap@10 with the teacher is this much below the one before", DefaultValueFactory = _ => policy.MaxFidelityDrop };

var command = new RootCommand("Ranks candidates with the newest good version of a student model, over gRPC.")
{
    repository, model, address, port, httpPort, redis, device, cudaLanes, cudaGraphs, engine, batchUs, batchCandidates, batchForced, status, maxCandidates, concurrency, maxQueueMs, niceness, rehearsalSeconds,
    catalog, items, catalogVectors, catalogWaitMs, catalogMaxItems,
    controlPort, controlAddress, controlToken, state, trustedKeys, transfer,
    maxChurn, canaryShare, canarySeconds, shadowShare, probationSeconds, maxFailureShare, maxFidelityDrop,
};
command.Add(KdServing.Serving.Control.Commands.ModelsCommand.Create());
command.Add(KdServing.Serving.Control.Commands.ExplainCommand.Create());
command.SetAction((arguments, _) => ServeAsync(new()
{
    Repository = arguments.GetRequiredValue(repository),
    Model = arguments.GetRequiredValue(model),
    Address = arguments.GetRequiredValue(address),
    Port = arguments.GetValue(port),
    HttpPort = arguments.GetValue(httpPort),
    Redis = arguments.GetValue(redis),
    Device = arguments.GetValue(device),
    DeviceOptions = new() { Lanes = arguments.GetValue(cudaLanes), ReplaysRuns = arguments.GetValue(cudaGraphs) },
    Engine = arguments.GetValue(engine),
    BatchMicroseconds = arguments.GetValue(batchUs),
    BatchCandidates = arguments.GetValue(batchCandidates),
    BatchForced = arguments.GetValue(batchForced),
    StatusFile = arguments.GetValue(status),
    LoaderNiceness = arguments.GetValue(niceness),
    RehearsalLimit = TimeSpan.FromSeconds(arguments.GetValue(rehearsalSeconds)),
    Catalog = arguments.GetValue(catalog) is not { } folder ? null : new()
    {
        Folder = folder,
        ItemsFile = arguments.GetValue(items),
        Format = arguments.GetValue(catalogVectors),
        WaitLimit = TimeSpan.FromMilliseconds(arguments.GetValue(catalogWaitMs)),
        MaxItems = arguments.GetValue(catalogMaxItems),
    },
    ControlPort = arguments.GetValue(controlPort),
    ControlAddress = arguments.GetRequiredValue(controlAddress),
    ControlTokenFile = arguments.GetValue(controlToken),
    State = arguments.GetValue(state),
    TrustedKeys = arguments.GetValue(trustedKeys),
    Transfer = arguments.GetValue(transfer),
    Rollout = new()
    {
        MaxChurn = arguments.GetValue(maxChurn),
        CanaryShare = arguments.GetValue(canaryShare),
        CanaryTime = TimeSpan.FromSeconds(arguments.GetValue(canarySeconds)),
        ShadowShare = arguments.GetValue(shadowShare),
        Probation = TimeSpan.FromSeconds(arguments.GetValue(probationSeconds)),
        MaxFailureShare = arguments.GetValue(maxFailureShare),
        MaxFidelityDrop = arguments.GetValue(maxFidelityDrop),
    },
    Limits = new()
    {
        MaxCandidates = arguments.GetValue(maxCandidates),
        Concurrency = arguments.GetValue(concurrency),
        MaxQueueMs = arguments.GetValue(maxQueueMs),
    },
}));

var parsed = command.Parse(args);
// The host stops on SIGINT and SIGTERM by itself; a second handler would cut it short.
var exit = await parsed.InvokeAsync(new() { ProcessTerminationTimeout = null });
return parsed.Errors.Count > 0 ? BadArguments : exit;

static async Task<int> ServeAsync(ServingOptions options)
{
    // The project's 16 are more threads than a small machine has cores; elsewhere streams may have that many scoring, and nobody would refuse calls that are Kestrel's.
    ThreadPool.GetMinThreads(out var threads, out var completions);
    ThreadPool.SetMinThreads(Math.Max(threads, 2 * options.Limits.Concurrency), completions);
    try
    {
        await using var host = await ServingHost.StartAsync(options);
        Console.WriteLine($"listening on http://{options.Address}:{host.Port}");
        if (host.HttpPort is { } http)
            Console.WriteLine($"status page on http://{options.Address}:{http}/");
        if (host.ControlPort is { } control)
            Console.WriteLine($"model control on http://{options.ControlAddress}:{control}");
        await host.WaitForShutdownAsync();
        return 0;
    }
    catch (ContractException e)
    {
        Console.Error.WriteLine(e.Message);
        return BadArguments;
    }
    catch (AddressInUseException e)
    {
        Console.Error.WriteLine($"{e.Message} Stop who listens there, or choose another port (0: any free one)");
        return Failed;
    }
    catch (Exception e) when (e is InferenceRuntimeException or IOException or UnauthorizedAccessException)
    {
        Console.Error.WriteLine(e.Message);
        return Failed;
    }
}
