using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace KdServing.LoadTests.Demo;

/// <summary>How to start a part of the demo.</summary>
/// <param name="Niceness">0 first in line for the processor, 19 last.</param>
internal sealed record ChildSpec(string Name, int Niceness, string LogPath, IReadOnlyList<string> Command)
{
    /// <summary>Asked when it has ended well: true when its work is done, so that its end is no accident.</summary>
    public Func<bool> HasFinished { get; init; } = () => false;
}

/// <summary>One running part of the demo, with its output in a log file.</summary>
/// <remarks>
/// It leads a session of its own, so Ctrl-C in the terminal reaches the demo alone, which then stops its parts in order; and the
/// kernel ends it should the demo itself be killed (<c>setpriv --pdeathsig</c>), so no process is left behind.
/// </remarks>
internal sealed partial class ChildProcess : IDisposable
{
    private const int SigTerm = 15;
    private const int SigKill = 9;

    private readonly Process process;

    private ChildProcess(ChildSpec spec, Process process)
    {
        Spec = spec;
        this.process = process;
    }

    public ChildSpec Spec { get; }

    public int Id => process.Id;

    public bool HasExited => process.HasExited;

    public int ExitCode => process.ExitCode;

    public bool HasFinished => HasExited && ExitCode == 0 && Spec.HasFinished();

    public static ChildProcess Start(ChildSpec spec)
    {
        // The shell becomes the program (exec): one process, whose output goes to the log without passing through us.
        var start = new ProcessStartInfo("setpriv") { UseShellExecute = false, RedirectStandardInput = true };
        foreach (var word in new[]
        {
            "--pdeathsig", "TERM", "setsid", "nice", "-n", spec.Niceness.ToString(CultureInfo.InvariantCulture),
            "sh", "-c", "log=$1; shift; exec \"$@\" >>\"$log\" 2>&1", "sh", spec.LogPath,
        })
            start.ArgumentList.Add(word);
        foreach (var word in spec.Command)
            start.ArgumentList.Add(word);
        // One compute thread a process on a small machine; collections of a process must not take both cores either.
        start.Environment["DOTNET_gcServer"] = "0";
        start.Environment["OMP_NUM_THREADS"] = "1";
        start.Environment["OPENBLAS_NUM_THREADS"] = "1";
        var process = ParentThread.Run(() => Process.Start(start)!);
        process.StandardInput.Close();
        return new(spec, process);
    }

    public Task WaitAsync(CancellationToken cancellation) => process.WaitForExitAsync(cancellation);

    /// <summary>Asks it to stop; kills it when it has not within the time.</summary>
    /// <returns>False when it had to be killed.</returns>
    public async Task<bool> StopAsync(TimeSpan patience)
    {
        if (process.HasExited)
            return true;
        _ = Kill(process.Id, SigTerm);
        using var limit = new CancellationTokenSource(patience);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            return true;
        }
        catch (OperationCanceledException)
        {
            _ = Kill(process.Id, SigKill);
            await process.WaitForExitAsync(CancellationToken.None);
            return false;
        }
    }

    /// <summary>Sends it a signal; nothing happens when it has ended.</summary>
    public void Signal(int signal) => _ = Kill(process.Id, signal);

    /// <summary>Why it ended, in words.</summary>
    public string ExitReason() => process.ExitCode switch
    {
        > 128 and < 160 => $"was killed by signal {process.ExitCode - 128}",
        0 => "ended",
        _ => $"failed with exit code {process.ExitCode}",
    };

    /// <summary>The last lines it wrote.</summary>
    public IEnumerable<string> LogTail(int lines) =>
        File.Exists(Spec.LogPath) ? File.ReadLines(Spec.LogPath).TakeLast(lines) : [];

    public void Dispose()
    {
        if (!process.HasExited)
            _ = Kill(process.Id, SigKill);
        process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int processId, int signal);
}
