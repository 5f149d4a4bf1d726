using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace KdServing.Benchmarks.Peers;

/// <summary>A started peer. Disposing ends it.</summary>
internal sealed partial class PeerServer : IAsyncDisposable
{
    private const int SigTerm = 15;

    private readonly Process process;

    private PeerServer(Peer peer, int port, Process process)
    {
        Peer = peer;
        Port = port;
        this.process = process;
    }

    public Peer Peer { get; }

    public int Port { get; }

    public int Id => process.Id;

    public bool HasExited => process.HasExited;

    public static PeerServer Start(Peer peer, PeerSources sources)
    {
        var port = FreePort();
        var log = Path.Combine(sources.Built, $"{peer.Name}.log");
        // exec: the shell becomes the program, whose output goes to the log without passing through us.
        var start = new ProcessStartInfo("sh") { WorkingDirectory = sources.Built };
        foreach (var argument in new[] { "-c", "log=$1; shift; exec \"$@\" >\"$log\" 2>&1", "sh", log })
            start.ArgumentList.Add(argument);
        foreach (var word in peer.Command)
            start.ArgumentList.Add(word.Replace("{port}", port.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal));
        foreach (var (name, value) in peer.Environment)
            start.Environment[name] = value;
        return new(peer, port, Process.Start(start)!);
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            _ = Kill(process.Id, SigTerm);
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(5));
            try
            {
                await process.WaitForExitAsync(patience.Token);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
            }
        }
        process.Dispose();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int processId, int signal);
}
