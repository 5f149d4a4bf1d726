using System.Globalization;

namespace Grpc.Net.Common;

/// <summary>The value of <c>grpc-timeout</c>: up to eight digits and a unit.</summary>
internal static class TimeoutHeader
{
    private const int MaxDigits = 8;
    private const long MaxValue = 99_999_999;

    /// <summary>The timeout in whole milliseconds, or in the first larger unit whose value has eight digits at most.</summary>
    public static string Format(TimeSpan timeout)
    {
        var ms = timeout.Ticks / TimeSpan.TicksPerMillisecond;
        if (ms <= MaxValue)
            return Format(Math.Max(ms, 1), 'm');

        var seconds = timeout.Ticks / TimeSpan.TicksPerSecond;
        if (seconds <= MaxValue)
            return Format(seconds, 'S');

        // TimeSpan ends at 15,372,286,728 minutes, and so at 256,204,778 hours.
        var minutes = timeout.Ticks / TimeSpan.TicksPerMinute;
        return minutes <= MaxValue ? Format(minutes, 'M') : Format(Math.Min(timeout.Ticks / TimeSpan.TicksPerHour, MaxValue), 'H');
    }

    /// <summary>False for anything that the protocol does not allow.</summary>
    public static bool TryParse(ReadOnlySpan<char> value, out TimeSpan timeout)
    {
        timeout = default;
        if (value.Length is < 2 or > MaxDigits + 1
            || !long.TryParse(value[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var amount))
            return false;

        var ticksPerUnit = value[^1] switch
        {
            'n' => 0,
            'u' => TimeSpan.TicksPerMicrosecond,
            'm' => TimeSpan.TicksPerMillisecond,
            'S' => TimeSpan.TicksPerSecond,
            'M' => TimeSpan.TicksPerMinute,
            'H' => TimeSpan.TicksPerHour,
            _ => -1,
        };
        if (ticksPerUnit < 0)
            return false;

        const int nanosecondsPerTick = 100;
        timeout = ticksPerUnit == 0
            ? new TimeSpan(amount / nanosecondsPerTick)
            : new TimeSpan((long)Math.Min((decimal)amount * ticksPerUnit, TimeSpan.MaxValue.Ticks));
        return true;
    }

    private static string Format(long amount, char unit) => string.Create(CultureInfo.InvariantCulture, $"{amount}{unit}");
}
