using System.Diagnostics;

namespace KdServing.LoadTests.Teaching;

/// <summary>Where a second goes: derive the data, score, learn, write, wait. One thread.</summary>
public sealed class PhaseClock
{
    private readonly double[] seconds = new double[Enum.GetValues<Phase>().Length];
    private long last = Stopwatch.GetTimestamp();

    public enum Phase
    {
        Derive,
        Score,
        Learn,
        Write,
        Wait,
    }

    public double this[Phase phase] => seconds[(int)phase];

    /// <summary>All but <see cref="Phase.Wait"/>.</summary>
    public double BusySeconds => seconds.Sum() - this[Phase.Wait];

    public double TotalSeconds => seconds.Sum();

    /// <summary>The time since the last call does not count.</summary>
    public void Restart() => last = Stopwatch.GetTimestamp();

    /// <summary>The time since the last call was spent on this.</summary>
    public void Spent(Phase phase)
    {
        var now = Stopwatch.GetTimestamp();
        seconds[(int)phase] += Stopwatch.GetElapsedTime(last, now).TotalSeconds;
        last = now;
    }

    public override string ToString() => string.Join("  ", Enum.GetValues<Phase>().Select(p =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{p.ToString().ToLowerInvariant()} {this[p] / Math.Max(TotalSeconds, 1e-9):P0}")));
}
