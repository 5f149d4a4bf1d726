using System.Globalization;

namespace KdServing.Benchmarks.Peers;

/// <summary>Time that the host of a virtual machine gave to others while this machine's cores had work, over all cores, since the machine was started.</summary>
/// <remarks><c>steal</c> of the first line of <c>/proc/stat</c> (proc_stat(5)), in hundredths of a second; always 0 where the host does not say.</remarks>
internal static class StolenTime
{
    private const int Field = 8;
    private const double TicksASecond = 100;

    public static TimeSpan Read()
    {
        var cpu = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return TimeSpan.FromSeconds(long.Parse(cpu[Field], CultureInfo.InvariantCulture) / TicksASecond);
    }
}
