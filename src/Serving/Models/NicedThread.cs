using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace KdServing.Serving.Models;

/// <summary>A thread for work that must not compete with requests: the kernel gives way to them.</summary>
/// <remarks>
/// On Linux every thread has a niceness of its own; .NET's <c>Thread.Priority</c> does not set it, so we do. A thread can not
/// lower its niceness again, hence one of its own, that lives as long as the server.
/// </remarks>
public sealed partial class NicedThread : IDisposable
{
    private const int PrioProcess = 0; // with a thread id, it means that thread
    private readonly BlockingCollection<Action> work = [];
    private readonly Thread thread;

    /// <param name="niceness">0 to 19; more gives way more.</param>
    public NicedThread(string name, int niceness)
    {
        thread = new(() => Run(niceness)) { IsBackground = true, Name = name };
        thread.Start();
    }

    /// <summary>Niceness the kernel has accepted; null until the thread runs, and where there is no such thing.</summary>
    public int? Niceness { get; private set; }

    /// <summary>Runs a step on the thread, after those asked for before.</summary>
    public Task<T> RunAsync<T>(Func<T> step)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        work.Add(() =>
        {
            try
            {
                done.SetResult(step());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        return done.Task;
    }

    /// <summary>Finishes what was asked for, then ends.</summary>
    public void Dispose()
    {
        work.CompleteAdding();
        thread.Join();
        work.Dispose();
    }

    private void Run(int niceness)
    {
        if (OperatingSystem.IsLinux())
        {
            var id = GetThreadId();
            if (SetPriority(PrioProcess, id, niceness) == 0)
                Niceness = GetPriority(PrioProcess, id);
        }
        foreach (var step in work.GetConsumingEnumerable())
            step();
    }

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    private static partial int SetPriority(int which, int who, int niceness);

    [LibraryImport("libc", EntryPoint = "getpriority", SetLastError = true)]
    private static partial int GetPriority(int which, int who);
}
