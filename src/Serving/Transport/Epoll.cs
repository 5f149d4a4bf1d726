using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace KdServing.Serving.Transport;

/// <summary>What Linux tells of sockets, to one of the threads that wait: each thing once, until it is asked for again. Any thread.</summary>
/// <remarks>
/// Its descriptors are closed by the collector: threads and connections may come by until the last of them is gone, and a number closed earlier may be another file's by then.
/// Source: epoll(7), eventfd(2).
/// </remarks>
internal sealed unsafe partial class Epoll
{
    /// <summary>There is something to read, or the other side has ended.</summary>
    public const uint Readable = 0x1; // EPOLLIN

    /// <summary>There is room to write.</summary>
    public const uint Writable = 0x4; // EPOLLOUT

    /// <summary>What is told when somebody was woken; no socket's.</summary>
    public const long Woken = 0;

    private const uint OneShot = 1u << 30;
    private const uint EdgeTriggered = 1u << 31;
    private const int Add = 1;
    private const int Delete = 2;
    private const int Modify = 3;
    private const int CloseOnExec = 0x80000;
    private const int NonBlocking = 0x800;
    private const int Interrupted = 4; // EINTR

    // struct epoll_event is packed on x86-64 and nowhere else.
    private const int EventBytes = 16;
    private static readonly int IdAt = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;

    private readonly SafeFileHandle poll = new(Require(Create(CloseOnExec)), ownsHandle: true);
    private readonly SafeFileHandle wake = new(Require(CreateEvent(0, CloseOnExec | NonBlocking)), ownsHandle: true);

    public Epoll() => Require(Control(Add, (int)wake.DangerousGetHandle(), EdgeTriggered | Readable, Woken));

    /// <param name="id">What the socket is told of by; above 0.</param>
    /// <param name="events"><see cref="Readable"/>, <see cref="Writable"/>, or both.</param>
    /// <exception cref="Win32Exception">The kernel has no room for it (fs.epoll.max_user_watches).</exception>
    public void Register(int socket, long id, uint events) => Require(Control(Add, socket, OneShot | events, id));

    /// <summary>Asks again, once something was told.</summary>
    public void Ask(int socket, long id, uint events) => Require(Control(Modify, socket, OneShot | events, id));

    /// <summary>Before it is closed.</summary>
    public void Remove(int socket) => Control(Delete, socket, 0, 0);

    /// <summary>Waits until there is something to tell.</summary>
    /// <param name="mayBlock">False: only what there is now.</param>
    /// <returns>False: there is nothing.</returns>
    public bool TryWait(bool mayBlock, out long id, out uint events)
    {
        var told = stackalloc byte[EventBytes];
        int count;
        do
            count = Wait(poll, told, maxEvents: 1, mayBlock ? -1 : 0);
        while (count < 0 && Marshal.GetLastPInvokeError() == Interrupted);
        Require(count);
        (id, events) = (*(long*)(told + IdAt), *(uint*)told);
        return count > 0;
    }

    /// <summary>Wakes a thread that waits, or the next one to do so.</summary>
    public void Wake()
    {
        // Never read: a counter of 64 bits is full when the sun is cold.
        var one = 1L;
        _ = Write(wake, &one, sizeof(long));
    }

    private int Control(int operation, int descriptor, uint events, long id)
    {
        var asked = stackalloc byte[EventBytes];
        *(uint*)asked = events;
        *(long*)(asked + IdAt) = id;
        return Control(poll, operation, descriptor, asked);
    }

    private static int Require(int result) => result >= 0 ? result : throw new Win32Exception();

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    private static partial int Create(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle poll, int operation, int descriptor, byte* asked);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    private static partial int Wait(SafeFileHandle poll, byte* told, int maxEvents, int timeoutMs);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int CreateEvent(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "write")]
    private static partial nint Write(SafeFileHandle descriptor, void* bytes, nint count);
}
