using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Grpc.Core;
using Grpc.Net.Client;

namespace KdServing.Serving.Tests;

/// <summary>The program as a supervisor meets it: options, exit codes, signals.</summary>
public sealed class ProcessTests : IDisposable
{
    private static readonly string Program = typeof(ServingHost).Assembly.Location;
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Sigterm_answers_what_is_in_flight_and_exits_with_zero()
    {
        using var sample = new SampleStudent("mlp");
        sample.Publish(new(folder["models"]));
        using var process = Start("--repository", folder["models"], "--model", SampleStudent.Model, "--port", "0", "--http-port", "0", "--status", folder["status.json"]);
        var port = await StatusAsync("port", v => v.GetInt32() > 0);
        await StatusAsync("version", v => v.ValueKind == JsonValueKind.Number);
        using var channel = GrpcChannel.ForAddress($"http://127.0.0.1:{port.GetInt32()}");
        var client = new Contracts.Ranking.RankingClient(channel);
        using var stream = client.RankStream();
        await stream.RequestStream.WriteAsync(sample.Request(candidates: 5, seed: 1));
        Assert.True(await stream.ResponseStream.MoveNext(CancellationToken.None));

        // As a client does that waits for the next reply.
        var nextReply = stream.ResponseStream.MoveNext(CancellationToken.None);

        // Requests until the server refuses: each is answered, or was never taken.
        var running = Task.Run(async () =>
        {
            var answered = 0;
            try
            {
                for (; ; answered++)
                    await client.RankAsync(sample.Request(candidates: 200, seed: answered));
            }
            catch (RpcException e)
            {
                return (answered, e.Status);
            }
        });
        await Task.Delay(200);
        var watch = Stopwatch.StartNew();
        Signal(process, "TERM");
        var (answered, refusal) = await running.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.True(answered > 0);
        Assert.True(refusal.StatusCode == StatusCode.Unavailable, $"{refusal}");
        var e = await Assert.ThrowsAsync<RpcException>(() => nextReply);
        Assert.True(e.StatusCode == StatusCode.Unavailable, $"{e.Status} {e.Status.DebugException}");
        await ExitsAsync(process, 0);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30));
        Assert.Equal("stopping", (await StatusAsync("state", _ => true)).GetString());
    }

    [Fact]
    public async Task A_port_in_use_is_said_and_exits_with_one()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        using var process = Start("--repository", folder.Path, "--model", "sample", "--port", $"{port}");
        await ExitsAsync(process, 1);
        var said = await process.StandardError.ReadToEndAsync();
        Assert.Contains($"http://127.0.0.1:{port}: address already in use. Stop who listens there", said, StringComparison.Ordinal);
        Assert.DoesNotContain("Exception", said, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--model: must be", "--repository", ".", "--model", "../x")]
    [InlineData("--port: is 70000", "--repository", ".", "--model", "x", "--port", "70000")]
    [InlineData("--http-port: is the same as --port", "--repository", ".", "--model", "x", "--port", "5000", "--http-port", "5000")]
    [InlineData("--address: must be an IP address", "--repository", ".", "--model", "x", "--address", "localhost.example")]
    [InlineData("--redis: 'a::' is not HOST:PORT", "--repository", ".", "--model", "x", "--redis", "a::")]
    [InlineData("is a file, not a folder", "--repository", "/etc/passwd", "--model", "x")]
    [InlineData("--repository", "--model", "x")]
    [InlineData("--device", "--repository", ".", "--model", "x", "--device", "tpu")]
    [InlineData("--cuda-lanes: is 0", "--repository", ".", "--model", "x", "--cuda-lanes", "0")]
    [InlineData("--nonsense", "--repository", ".", "--model", "x", "--nonsense")]
    public async Task Bad_arguments_are_named_and_exit_with_two(string message, params string[] arguments)
    {
        using var process = Start(arguments);
        await ExitsAsync(process, 2);
        Assert.Contains(message, await process.StandardError.ReadToEndAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_device_that_is_not_there_is_never_replaced_in_silence()
    {
        using (var process = Start("--repository", folder.Path, "--model", "sample", "--port", "0", "--device", "cuda"))
        {
            await ExitsAsync(process, 1);
            Assert.Contains("--device cuda: ", await process.StandardError.ReadToEndAsync(), StringComparison.Ordinal);
        }
        using (var process = Start("--repository", folder.Path, "--model", "sample", "--port", "0", "--device", "auto", "--status", folder["status.json"]))
        {
            Assert.Equal("cpu", (await StatusAsync("device", _ => true)).GetString());
            Assert.StartsWith("CUDA does not work here: ", (await StatusAsync("device_reason", _ => true)).GetString(), StringComparison.Ordinal);
            Signal(process, "INT");
            await ExitsAsync(process, 0);
        }
    }

    [Fact]
    public async Task A_missing_native_library_is_said()
    {
        // The program without libonnxruntime.so beside it.
        foreach (var file in Directory.EnumerateFiles(Path.GetDirectoryName(Program)!).Where(f => Path.GetExtension(f) is ".dll" or ".json"))
            File.CreateSymbolicLink(folder[Path.GetFileName(file)], file);
        File.Delete(folder[Path.GetFileName(Program)]);
        File.Copy(Program, folder[Path.GetFileName(Program)]);
        File.Delete(folder["Microsoft.ML.OnnxRuntime.dll"]);
        File.Copy(Path.Combine(Path.GetDirectoryName(Program)!, "Microsoft.ML.OnnxRuntime.dll"), folder["Microsoft.ML.OnnxRuntime.dll"]);
        using var process = StartProgram(folder[Path.GetFileName(Program)], "--repository", folder.Path, "--model", "sample", "--port", "0");
        await ExitsAsync(process, 1);
        Assert.Contains("libonnxruntime.so) does not load", await process.StandardError.ReadToEndAsync(), StringComparison.Ordinal);
    }

    private static Process Start(params string[] arguments) => StartProgram(Program, arguments);

    private static Process StartProgram(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var argument in (string[])["exec", "--runtimeconfig", Path.ChangeExtension(Program, ".runtimeconfig.json"), program, .. arguments])
            start.ArgumentList.Add(argument);
        // A machine that has a GPU hides it, so that the tests meet the same everywhere.
        start.Environment["CUDA_VISIBLE_DEVICES"] = "";
        var process = Process.Start(start)!;
        // Nobody reads it: it must not fill up.
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        return process;
    }

    private async Task<JsonElement> StatusAsync(string key, Func<JsonElement, bool> isThere)
    {
        JsonElement value = default;
        await Eventually.HoldsAsync(() =>
        {
            if (!File.Exists(folder["status.json"]))
                return false;
            value = JsonDocument.Parse(File.ReadAllText(folder["status.json"])).RootElement.GetProperty(key);
            return isThere(value);
        }, $"the status file holds {key}");
        return value;
    }

    private static void Signal(Process process, string signal)
    {
        using var kill = Process.Start("kill", ["-" + signal, $"{process.Id}"]);
        kill.WaitForExit();
    }

    private static async Task ExitsAsync(Process process, int code)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(40));
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            Assert.Fail("the program goes on running");
        }
        Assert.Equal(code, process.ExitCode);
    }
}
