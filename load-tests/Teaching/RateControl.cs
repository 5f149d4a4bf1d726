using System.Diagnostics;
using System.Text.Json;

namespace KdServing.LoadTests.Teaching;

/// <summary>Lets batches go at a fixed rate, or at one that follows what teacher and Distiller can do. One thread.</summary>
/// <param name="fixedRate">Impressions a second; null: automatic.</param>
/// <param name="paceBy">Status file of the Distiller; null: only the own capacity counts.</param>
public sealed class RateControl(double? fixedRate, string? paceBy)
{
    private const double ReviewSeconds = 1;

    // Before anything is measured: a first batch or two, whatever the machine.
    private const double FirstRate = 100;

    private readonly TokenBucket bucket = new();
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private double? automatic;
    private double reviewedAt;
    private double busyAtReview;
    private long countAtReview;
    private long count;

    /// <summary>Impressions a second aimed at.</summary>
    public double Target => fixedRate ?? automatic ?? FirstRate;

    /// <summary>Impressions a second in the last second or so.</summary>
    public double Measured { get; private set; }

    /// <summary>Waits until a batch may go.</summary>
    /// <exception cref="OperationCanceledException">Asked to stop.</exception>
    public void Wait(int impressions, PhaseClock phases, CancellationToken cancellation)
    {
        bucket.Rate = Target;
        while (bucket.Take(impressions, clock.Elapsed.TotalSeconds) is > 0 and var seconds)
        {
            phases.Spent(PhaseClock.Phase.Wait);
            cancellation.WaitHandle.WaitOne(TimeSpan.FromSeconds(Math.Min(seconds, 1)));
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Notes a batch that has gone, and reviews the rate each second.</summary>
    public void Done(int impressions, double busySeconds)
    {
        count += impressions;
        var now = clock.Elapsed.TotalSeconds;
        if (now - reviewedAt < ReviewSeconds)
            return;
        var done = count - countAtReview;
        Measured = done / (now - reviewedAt);
        var busy = busySeconds - busyAtReview;
        if (fixedRate is null)
            automatic = Pace.Next(automatic, busy > 0 ? done / busy : null, ReaderCapacity(paceBy));
        (reviewedAt, busyAtReview, countAtReview) = (now, busySeconds, count);
    }

    /// <summary><c>records_per_busy_second</c> of a Distiller's status; null while it has none.</summary>
    public static double? ReaderCapacity(string? statusFile)
    {
        try
        {
            if (statusFile is null || !File.Exists(statusFile))
                return null;
            using var status = JsonDocument.Parse(File.ReadAllBytes(statusFile));
            return status.RootElement.TryGetProperty("records_per_busy_second", out var value) && value.ValueKind == JsonValueKind.Number
                ? value.GetDouble()
                : null;
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            return null;
        }
    }
}
