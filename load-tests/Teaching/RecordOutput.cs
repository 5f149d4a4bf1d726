using System.Runtime.ExceptionServices;
using KdServing.Contracts;

namespace KdServing.LoadTests.Teaching;

/// <summary>Writes a batch to the stream, and its ids to the produced log, while its caller does something else.</summary>
/// <remarks>One thread: <c>Begin</c>, other work, <c>End</c>, <c>Written</c>.</remarks>
/// <param name="labelDelaySeconds">Labels follow their records after so much event time, on the stream of labels; null: they travel with them.</param>
internal sealed class RecordOutput(LogitStreamWriter writer, string? producedLog, double? labelDelaySeconds = null) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly ProducedLogFile log = new(producedLog);
    private readonly Queue<LabelRecord> delayed = new();
    private Task writing = Task.CompletedTask;

    /// <summary>Records of the last batch that Redis has; they are its first ones.</summary>
    public int Written { get; private set; }

    public long Retries => writer.Retries;

    public long Waits => writer.Waits;

    /// <summary>Starts to write.</summary>
    public void Begin(IReadOnlyList<TeacherRecord> records, CancellationToken cancellation)
    {
        Written = 0;
        writing = Task.Run(() => WriteAsync(records, cancellation), CancellationToken.None);
    }

    /// <summary>Waits until all is written, and says why when it takes long.</summary>
    /// <param name="waiting">Called now and then while it waits.</param>
    /// <exception cref="OperationCanceledException">Asked to stop; <see cref="Written"/> says how far it came.</exception>
    public void End(Action waiting)
    {
        var (retries, waits, said) = (writer.Retries, writer.Waits, false);
        try
        {
            while (!writing.Wait(Patience))
            {
                if (!said && writer.Retries > retries)
                    Console.Error.WriteLine($"kd teach: Redis does not take records ({writer.RetryReason}); waiting for it, nothing is lost");
                else if (!said && writer.Waits > waits)
                    Console.Error.WriteLine("kd teach: the stream is full; waiting for the Distiller");
                said |= writer.Retries > retries || writer.Waits > waits;
                waiting();
            }
            if (said)
                Console.Error.WriteLine("kd teach: streaming again");
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerException!);
        }
        finally
        {
            log.Flush();
        }
    }

    public void Dispose() => log.Dispose();

    private async Task WriteAsync(IReadOnlyList<TeacherRecord> records, CancellationToken cancellation)
    {
        foreach (var record in records)
        {
            if (labelDelaySeconds is { } delay && record.Labels.Count > 0)
            {
                delayed.Enqueue(new() { RequestId = record.RequestId, EventTimeMs = record.EventTimeMs + (long)(delay * 1000), Labels = { record.Labels } });
                record.Labels.Clear();
            }
            log.Add(await writer.WriteAsync(record, cancellation));
            Written++;
            while (delayed.TryPeek(out var labels) && labels.EventTimeMs <= record.EventTimeMs)
            {
                await writer.WriteLabelsAsync(labels, cancellation);
                delayed.Dequeue();
            }
        }
    }
}
