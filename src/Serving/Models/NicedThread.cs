using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace KdServing.Serving.Models;

/// <summary>A thread for work that must not compete with requests: the kernel gives way to them.</summary>
/// <remarks>
/// On Linux every thread has a niceness of its own; .NET's <c>Thread.Priority</c> does not set it, so we do. A thread can not
/// lower its niceness again, hence one of its own, that lives as long as the server. Niceness is a share of the processor, not a rank: since Linux 6.6
/// a thread that runs keeps its core for its slice, some milliseconds, whoever wakes up meanwhile. So the slice is made short as well (Linux 6.12 and
/// later heed it). The policy for idle threads would give way at once, but on a busy machine it may get no time at all, and the garbage collector
/// has to wait for every thread. Source: sched_setattr(2); Documentation/scheduler/sched-eevdf.rst.
/// </remarks>
public sealed partial class NicedThread : IDisposable
{
    private const int PrioProcess = 0; // with a thread id, it means that thread
    private const ulong SliceNanoseconds = 100_000; // the shortest there is
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
            Slice(niceness);
        }
        foreach (var step in work.GetConsumingEnumerable())
            step();
    }

    // A kernel that knows no slices takes the call or refuses it: the thread runs either way.
    private static void Slice(int niceness)
    {
        nint? call = RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => 314,
            Architecture.Arm64 => 274,
            _ => null,
        };
        var attributes = new SchedulingAttributes { Size = (uint)Marshal.SizeOf<SchedulingAttributes>(), Nice = niceness, Runtime = SliceNanoseconds };
        if (call is { } number)
            _ = SetAttributes(number, 0, attributes, 0);
    }

    // struct sched_attr in its first form; policy 0 is that of ordinary threads.
    [StructLayout(LayoutKind.Sequential)]
    private struct SchedulingAttributes
    {
        public uint Size;
        public uint Policy;
        public ulong Flags;
        public int Nice;
        public uint Priority;
        public ulong Runtime;
        public ulong Deadline;
        public ulong Period;
    }

    // glibc had no name for it before 2.41.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SetAttributes(nint call, nint thread, in SchedulingAttributes attributes, nint flags);

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    private static partial int SetPriority(int which, int who, int niceness);

    [LibraryImport("libc", EntryPoint = "getpriority", SetLastError = true)]
    private static partial int GetPriority(int which, int who);
}
