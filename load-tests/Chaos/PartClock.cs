using System.Globalization;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>The wall clock of some processes, which can be set while they run (libfaketime); what they measure durations with goes on.</summary>
internal sealed class PartClock
{
    private readonly string file;

    /// <param name="file">Holds how far it is off.</param>
    public PartClock(string file)
    {
        this.file = file;
        Set(TimeSpan.Zero);
    }

    /// <summary>How long a process may not notice.</summary>
    public static TimeSpan Delay { get; } = TimeSpan.FromSeconds(1);

    /// <summary>Before that of the machine by so much.</summary>
    public TimeSpan Offset { get; private set; }

    /// <summary>Words before a command that is to go by this clock.</summary>
    /// <exception cref="DemoException">The library is not there.</exception>
    // The C library once more, before Redis' jemalloc: that asks for the time while it starts, and the time would ask it for memory.
    public IReadOnlyList<string> Words =>
    [
        "env", $"LD_PRELOAD={Library()} libc.so.6", $"FAKETIME_TIMESTAMP_FILE={file}", $"FAKETIME_CACHE_DURATION={(int)Delay.TotalSeconds}",
        // Its mend for waits by the monotonic clock ends those of .NET at once.
        "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_FORCE_MONOTONIC_FIX=0", "NO_FAKE_STAT=1",
    ];

    public void Set(TimeSpan offset)
    {
        Offset = offset;
        // In one rename: a reader in between would find an empty file.
        File.WriteAllText(file + ".new", string.Create(CultureInfo.InvariantCulture, $"{offset.TotalSeconds:+0;-0;+0}\n"));
        File.Move(file + ".new", file, overwrite: true);
    }

    private static string Library()
    {
        string[] roots = ["/usr/lib", .. Directory.GetDirectories("/usr/lib", "*-linux-gnu")];
        return roots.Select(r => Path.Combine(r, "faketime", "libfaketimeMT.so.1")).FirstOrDefault(File.Exists)
            ?? throw new DemoException("libfaketime is not installed; apt-get install libfaketime");
    }
}
