using System.Diagnostics;

namespace KdServing.Distiller.Training;

/// <summary>The loop's clocks and rates: what is due, how fast it goes. One thread.</summary>
public sealed class LoopMeter
{
    private const double LossMemory = 0.98;

    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly Queue<(double Seconds, long Records)> history = new();
    private double refreshAt;
    private double checkpointAt;
    private double statusAt = double.NegativeInfinity;
    private double liveAt = double.NegativeInfinity;
    private double workBegan;
    private double busySeconds;
    private long records;

    /// <summary>Since the process began.</summary>
    public double Seconds => clock.Elapsed.TotalSeconds;

    public double SecondsSinceRefresh => Seconds - refreshAt;

    public double SecondsSinceCheckpoint => Seconds - checkpointAt;

    public bool IsStatusDue => Seconds - statusAt >= 1;

    /// <summary>True four times a second: time to ask which version is live.</summary>
    public bool IsLiveDue
    {
        get
        {
            if (Seconds - liveAt < 0.25)
                return false;
            liveAt = Seconds;
            return true;
        }
    }

    /// <summary>Exponential mean of the training loss; null before the first batch.</summary>
    public double? Loss { get; private set; }

    /// <summary>Entries a second over the last status intervals.</summary>
    public double RecordsPerSecond { get; private set; }

    /// <summary>Entries a second of work; null before the first batch.</summary>
    public double? RecordsPerBusySecond => busySeconds > 0 ? records / busySeconds : null;

    public void BeginWork() => workBegan = Seconds;

    public void EndWork(int entries)
    {
        busySeconds += Seconds - workBegan;
        records += entries;
    }

    public void Note(double loss)
    {
        if (double.IsFinite(loss))
            Loss = Loss is { } mean ? LossMemory * mean + (1 - LossMemory) * loss : loss;
    }

    public void BeginRefresh() => refreshAt = Seconds;

    public void BeginCheckpoint() => checkpointAt = Seconds;

    public void BeginStatus()
    {
        statusAt = Seconds;
        history.Enqueue((Seconds, records));
        while (history.Count > 6)
            history.Dequeue();
        var (since, before) = history.Peek();
        RecordsPerSecond = Seconds - since > 0.5 ? (records - before) / (Seconds - since) : 0;
    }

    /// <summary>Seconds of work by phase; <c>other</c> is decoding, the frozen scorers and the evaluation.</summary>
    public IReadOnlyDictionary<string, double> Phases(PhaseTimes student, PhaseTimes? labelsOnly) => new Dictionary<string, double>
    {
        ["gather"] = student.Gather,
        ["forward"] = student.Forward,
        ["loss"] = student.Loss,
        ["backward"] = student.Backward,
        ["apply"] = student.Apply,
        ["labels_only"] = labelsOnly?.Total ?? 0,
        ["other"] = busySeconds - student.Total - (labelsOnly?.Total ?? 0),
    };
}
