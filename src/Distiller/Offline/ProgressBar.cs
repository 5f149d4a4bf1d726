using System.Diagnostics;
using System.Globalization;

namespace KdServing.Distiller.Offline;

/// <summary>How far a long piece of work is, on standard error: a bar that is redrawn on a terminal, a line now and then elsewhere.</summary>
public sealed class ProgressBar : IDisposable
{
    private const int Width = 30;
    private const double LineSeconds = 15;
    private const double DrawSeconds = 0.2;

    private readonly Stopwatch watch = Stopwatch.StartNew();
    private readonly bool terminal = !Console.IsErrorRedirected;
    private double next;
    private bool drawn;

    /// <param name="share">Done, from 0 to 1.</param>
    /// <param name="what">Is being done.</param>
    public void Show(double share, string what)
    {
        var now = watch.Elapsed.TotalSeconds;
        if (now < next)
            return;
        next = now + (terminal ? DrawSeconds : LineSeconds);
        share = Math.Clamp(share, 0, 1);
        var left = share > 0.002 ? TimeSpan.FromSeconds(now / share * (1 - share)).ToString(@"h\:mm\:ss", CultureInfo.InvariantCulture) : "?";
        var bar = new string('█', (int)(share * Width)).PadRight(Width, '░');
        var line = string.Create(CultureInfo.InvariantCulture, $"{bar} {share,4:P0}  left {left}  {what}");
        if (terminal)
            Console.Error.Write($"\r{line}\u001b[K");
        else
            Console.Error.WriteLine(line);
        drawn = terminal;
    }

    /// <summary>A line of its own that stays.</summary>
    public void Say(string text)
    {
        Erase();
        Console.Error.WriteLine(text);
    }

    public void Dispose() => Erase();

    private void Erase()
    {
        if (drawn)
            Console.Error.Write("\r\u001b[K");
        drawn = false;
    }
}
