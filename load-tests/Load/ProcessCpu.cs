using System.Diagnostics;
using System.Globalization;

namespace KdServing.LoadTests.Load;

/// <summary>Processor time of processes.</summary>
internal static class ProcessCpu
{
    private const double TicksPerSecond = 100; // USER_HZ of every Linux that .NET runs on

    public static double OwnSeconds()
    {
        using var self = Process.GetCurrentProcess();
        return self.TotalProcessorTime.TotalSeconds;
    }

    /// <summary>Seconds a live process has run so far; 0 when there is none.</summary>
    public static double Seconds(int pid)
    {
        try
        {
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}
