namespace KdServing.LoadTests.Teaching;

/// <summary>Impressions a busy second, of the recent batches. One thread.</summary>
public sealed class Capacity
{
    // The compiler's work of the first batches says nothing about the machine.
    private const int IgnoredBatches = 3;

    // A batch's weight halves after about thirty: seconds, at the usual rates.
    private const double Fading = 0.977;

    private double impressions;
    private double seconds;
    private double last;
    private int batches;

    /// <summary>Null until enough has been measured.</summary>
    public double? PerBusySecond => seconds > 0 ? impressions / seconds : null;

    /// <param name="busySeconds">Time spent working since the start; grows.</param>
    public void Add(int count, double busySeconds)
    {
        if (++batches > IgnoredBatches)
        {
            impressions = (impressions * Fading) + count;
            seconds = (seconds * Fading) + (busySeconds - last);
        }
        last = busySeconds;
    }
}
