using System.Globalization;

namespace KdServing.Distiller;

/// <summary>What an operator reads: one line an event, plain words; warnings and errors on standard error.</summary>
public static class DistillerLog
{
    private static readonly Lock Gate = new();
    private static readonly Dictionary<string, (long Ms, long Held)> Repeated = [];

    public static void Info(string message) => Write(Console.Out, "info", message);

    public static void Warn(string message) => Write(Console.Error, "warn", message);

    public static void Error(string message) => Write(Console.Error, "error", message);

    /// <summary>A line that may come thousands of times: printed at most once in so many seconds a <paramref name="key"/>, with a count.</summary>
    public static void InfoSometimes(string key, string message, int seconds = 5)
    {
        if (IsDue(key, seconds, ref message))
            Info(message);
    }

    /// <summary>A warning that may come thousands of times, likewise.</summary>
    public static void WarnSometimes(string key, string message, int seconds = 5)
    {
        if (IsDue(key, seconds, ref message))
            Warn(message);
    }

    private static bool IsDue(string key, int seconds, ref string message)
    {
        lock (Gate)
        {
            var now = Environment.TickCount64;
            if (Repeated.TryGetValue(key, out var last) && now - last.Ms < seconds * 1000L)
            {
                Repeated[key] = (last.Ms, last.Held + 1);
                return false;
            }
            Repeated[key] = (now, 0);
            if (last.Held > 0)
                message += $" ({last.Held} more like it)";
            return true;
        }
    }

    private static void Write(TextWriter writer, string level, string message)
    {
        lock (Gate)
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:HH:mm:ss.fff} {level,-5} {message}"));
    }
}
