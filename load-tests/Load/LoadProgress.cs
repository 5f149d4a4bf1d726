using System.Globalization;

namespace KdServing.LoadTests.Load;

/// <summary>A bar on the terminal's last line; nothing where the output is no terminal.</summary>
internal sealed class LoadProgress : IDisposable
{
    private const int BarWidth = 28;

    private readonly Lock gate = new();
    private int shown;

    public void Show(StepProgress step)
    {
        if (Console.IsOutputRedirected)
            return;
        var filled = (int)(Math.Clamp(step.Seconds / step.Of, 0, 1) * BarWidth);
        var line = string.Create(CultureInfo.InvariantCulture,
            $"{step.Name,-14} {new string('█', filled)}{new string('░', BarWidth - filled)} {Math.Max(0, step.Of - step.Seconds),4:F0} s left  {step.Sent} sent  {step.InFlight} in flight  version {step.Version}");
        lock (gate)
        {
            Console.Write($"\r{line.PadRight(shown)}");
            shown = line.Length;
        }
    }

    public void Clear()
    {
        lock (gate)
        {
            if (shown > 0)
                Console.Write($"\r{new string(' ', shown)}\r");
            shown = 0;
        }
    }

    public void Dispose() => Clear();
}
