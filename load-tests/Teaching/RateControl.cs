using System.Diagnostics;
using System.Text.Json;

namespace KdServing.LoadTests.Teaching;

/// <summary>Lets batches go at a fixed rate, or at one that follows what teacher and Distiller can do. One thread.</summary>
/// <param name="fixedRate">Impressions a second; null: automatic.</param>
/// <param name="paceBy">Status file of the Distiller; null: only the own capacity counts.</param>
public sealed class RateControl(double? fixedRate, string? paceBy)
{
    private const double ReviewSeconds = 1;

    // Until something is measured.
    private const double FirstRate = 100;

    private readonly TokenBucket bucket = new();
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly Capacity own = new();
    private double? automatic;
    private double reviewedAt;
    private long countAtReview;
    private long count;

    /// <summary>Impressions a second aimed at.</summary>
    public double Target => fixedRate ?? automatic ?? FirstRate;

    /// <summary>Impressions a second in the last second or so.</summary>
    public double Measured { get; private set; }

    /// <summary>Waits until a batch may go.</summary>
    /// <exception cref="OperationCanceledException">Asked to stop.</exception>
    public void Wait(int impressions, CancellationToken cancellation)
    {
        while (true)
        {
            // Also while waiting: a rate that fell too low must not last for the whole of a long wait.
            Review();
            bucket.Rate = Target;
            var seconds = bucket.Take(impressions, clock.Elapsed.TotalSeconds);
            if (seconds == 0)
                return;
            cancellation.WaitHandle.WaitOne(TimeSpan.FromSeconds(Math.Min(seconds, ReviewSeconds)));
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Notes a batch that has gone.</summary>
    /// <param name="busySeconds">Time spent working since the start.</param>
    public void Done(int impressions, double busySeconds)
    {
        count += impressions;
        own.Add(impressions, busySeconds);
    }

    private void Review()
    {
        var now = clock.Elapsed.TotalSeconds;
        if (now - reviewedAt < ReviewSeconds)
            return;
        Measured = (count - countAtReview) / (now - reviewedAt);
        if (fixedRate is null && own.PerBusySecond is { } capacity)
            automatic = Pace.Next(automatic, capacity, ReaderCapacity(paceBy));
        (reviewedAt, countAtReview) = (now, count);
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
