using Grpc.Core;
using KdServing.Contracts;

namespace KdServing.Serving.Tests.Control;

/// <summary>People tell a running server which version to serve.</summary>
public sealed class ControlTests : IDisposable
{
    private readonly SampleStudent sample = new("mlp");
    private readonly TemporaryFolder folder = new();

    public void Dispose()
    {
        sample.Dispose();
        folder.Dispose();
    }

    [Fact]
    public async Task A_rollback_is_instant_and_fails_no_request()
    {
        await using var server = await RunningServer.StartAsync(sample);
        await PublishAsync(server, 2);
        using var done = new CancellationTokenSource();
        var request = sample.Request(candidates: 40, seed: 5);
        var clients = Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            var answered = 0;
            for (; !done.IsCancellationRequested; answered++)
                await server.Client.RankAsync(request);
            return answered;
        })).ToArray();

        var reply = await server.Control.RollbackAsync(new() { Reason = "a test" });
        Assert.Equal((2, 1), (reply.From, reply.To));
        // The bound; it is an exchange of one field.
        Assert.InRange(reply.TookMs, 0, 100);
        Assert.Equal(1, (await server.Client.RankAsync(request)).Version);
        await done.CancelAsync();
        Assert.All(await Task.WhenAll(clients), answered => Assert.True(answered > 0));

        // It stays: a newer version is not taken, and the one left is not taken again when the pin is lifted.
        sample.Learn(3);
        sample.Publish(server.Repository);
        var listed = await server.Control.ListAsync(new());
        Assert.Equal((1, 1, "rolled back: a test"), (listed.Current, listed.Pinned, listed.Versions.Single(v => v.Version == 2).Problem));
        await server.Control.UnpinAsync(new());
        await server.ServesAsync(3);
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Control.PinAsync(new() { Version = 99 }));
        Assert.Equal(StatusCode.NotFound, e.StatusCode);
        Assert.Contains(server.Ledger.Entries(), s => s.Cause == "rollback: a test" && s.SwappedMs is not null);
    }

    [Fact]
    public async Task Nothing_to_roll_back_to_is_said()
    {
        await using var server = await RunningServer.StartAsync(sample);
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Control.RollbackAsync(new()));
        Assert.Equal(StatusCode.FailedPrecondition, e.StatusCode);
        Assert.Contains("pin the one you want", e.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_pin_survives_a_restart_and_the_repository()
    {
        var repository = new ModelRepository(folder["models"]);
        for (var version = 1; version <= 3; version++)
        {
            sample.Publish(repository);
            sample.Learn(version);
        }
        await using (var server = await StartAsync())
        {
            await server.ServesAsync(3);
            Assert.Equal(2, (await server.Control.PinAsync(new() { Version = 2 })).Current);
        }
        // The server's own copy is enough, and so is the server's own disk.
        Directory.Delete(folder["models"], recursive: true);
        await using (var server = await StartAsync())
        {
            await server.ServesAsync(2);
            Assert.Equal(2, (await server.Client.RankAsync(sample.Request(5, seed: 1))).Version);
            // Version 3 was in service too: there is a copy of it.
            await server.Control.UnpinAsync(new());
            await server.ServesAsync(3);
        }
    }

    [Fact]
    public async Task A_pin_on_a_version_that_can_not_be_loaded_changes_nothing()
    {
        await using var server = await RunningServer.StartAsync(sample);
        await server.Control.HoldAsync(new() { Reason = "a test" });
        sample.Learn(2);
        sample.Publish(server.Repository);
        File.AppendAllText(Path.Combine(server.Repository.Folder(SampleStudent.Model, 2), "head.onnx"), "x");
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Control.PinAsync(new() { Version = 2 }));
        Assert.Contains("head.onnx", e.Status.Detail, StringComparison.Ordinal);
        Assert.Equal((1, 0), (server.Slot.Current!.Version, server.Rollout.State.Pinned));
    }

    [Fact]
    public async Task A_hold_keeps_new_versions_out_until_it_is_released()
    {
        await using var server = await RunningServer.StartAsync(sample);
        Assert.True((await server.Control.HoldAsync(new() { Reason = "sale today" })).Held);
        sample.Learn(2);
        sample.Publish(server.Repository);
        // Two looks of the loader at the least.
        await Task.Delay(100);
        var listed = await server.Control.ListAsync(new());
        Assert.Equal((1, "sale today"), (listed.Current, listed.HeldReason));
        Assert.DoesNotContain(server.Ledger.Entries(), s => s.Version == 2);
        await server.Control.HoldAsync(new() { Release = true });
        await server.ServesAsync(2);
    }

    [Fact]
    public async Task What_is_wanted_of_every_server_lies_in_the_repository()
    {
        await using var server = await RunningServer.StartAsync(sample);
        await PublishAsync(server, 2);
        server.Repository.SetWanted(SampleStudent.Model, new() { Pinned = 1, Reason = "a test" });
        await server.ServesAsync(1);
        // A server's own pin goes before it.
        Assert.Equal(2, (await server.Control.PinAsync(new() { Version = 2 })).Current);
        await server.Control.UnpinAsync(new());
        await server.ServesAsync(1);
        server.Repository.SetWanted(SampleStudent.Model, new());
        await server.ServesAsync(2);
    }

    [Fact]
    public async Task Versions_are_compared()
    {
        await using var server = await RunningServer.StartAsync(sample);
        sample.Learn(2, rowsPerTable: 20);
        sample.Publish(server.Repository);
        var difference = await server.Control.DiffAsync(new() { From = 1, To = 2 });
        Assert.Contains(difference.Fields, f => f.Name == "records_learned" && f.From == "1000" && f.To == "1100");
        Assert.Contains(difference.Metrics, m => m.Name == "gauc" && m.From == m.To);
        Assert.Contains(difference.Weights, w => w.File == "head.onnx" && w.RelativeChange > 0);
        Assert.InRange(difference.ChangedRows, 1, 20 * sample.Tables.Count);
        Assert.All((await server.Control.DiffAsync(new() { From = 1, To = 1 })).Weights, w => Assert.Equal(0, w.MaxChange));
    }

    [Fact]
    public async Task The_command_line_says_what_a_server_does()
    {
        await using var server = await RunningServer.StartAsync(sample);
        await PublishAsync(server, 2);
        var control = $"127.0.0.1:{server.Host.ControlPort}";
        Assert.Contains("serves version 2; keeps warm version 1", Run(0, "list", "--control", control), StringComparison.Ordinal);
        Assert.Contains("rolled back from version 2 to version 1", Run(0, "rollback", "--reason", "a test", "--control", control), StringComparison.Ordinal);
        Assert.Contains("pinned: version 1", Run(0, "list", "--control", control), StringComparison.Ordinal);
        Assert.Contains("held: sale", Run(0, "hold", "--reason", "sale", "--control", control), StringComparison.Ordinal);
        Assert.Contains("sample version 2, a delta", Run(0, "show", "2", "--control", control), StringComparison.Ordinal);
        Assert.Contains("rows written", Run(0, "diff", "1", "2", "--control", control), StringComparison.Ordinal);
        Assert.Contains("there is no version 9", Run(1, "pin", "9", "--control", control), StringComparison.Ordinal);
        Assert.Contains("one of the two is needed", Run(2, "list", "--control", control, "--repository", "."), StringComparison.Ordinal);
        Assert.Contains("is not HOST:PORT", Run(2, "list", "--control", "nowhere"), StringComparison.Ordinal);
        Assert.Contains("no server answers there", Run(1, "list", "--control", "127.0.0.1:1"), StringComparison.Ordinal);
    }

    private static string Run(int exitCode, params string[] arguments)
    {
        using var output = new StringWriter();
        Assert.Equal(exitCode, Serving.Control.Commands.ModelsCommand.Create().Parse(arguments).Invoke(new() { Output = output, Error = output }));
        return output.ToString();
    }

    [Fact]
    public async Task Strangers_are_refused()
    {
        File.WriteAllText(folder["token"], "0123456789abcdef\n");
        await using var server = await RunningServer.StartAsync(sample, change: o => o with { ControlTokenFile = folder["token"] });
        foreach (var token in (string?[])[null, "Bearer 0123456789abcdeX", "0123456789abcdef"])
        {
            var headers = token is null ? new Metadata() : new Metadata { { "authorization", token } };
            var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Control.HoldAsync(new(), headers));
            Assert.Equal(StatusCode.Unauthenticated, e.StatusCode);
        }
        Assert.False(server.Rollout.State.Held);
        Assert.True((await server.Control.HoldAsync(new(), new Metadata { { "authorization", "Bearer 0123456789abcdef" } })).Held);
        // And nobody commands through the port that everybody reaches.
        var other = await Assert.ThrowsAsync<RpcException>(async () => await new ModelControl.ModelControlClient(server.Channel).ListAsync(new()));
        Assert.Equal(StatusCode.Unimplemented, other.StatusCode);
    }

    [Fact]
    public async Task An_open_control_listener_needs_a_token()
    {
        var e = await Assert.ThrowsAsync<ContractException>(() => RunningServer.StartAsync(null, change: o => o with { ControlAddress = "0.0.0.0" }));
        Assert.Equal("--control-token-file", e.Field);
    }

    private async Task PublishAsync(RunningServer server, int version)
    {
        sample.Learn(version);
        sample.Publish(server.Repository);
        await server.ServesAsync(version);
    }

    private Task<RunningServer> StartAsync() =>
        RunningServer.StartAsync(null, change: o => o with { Repository = folder["models"], State = folder["state"] });
}
