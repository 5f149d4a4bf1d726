using System.Diagnostics;

namespace KdServing.Distiller.Training;

/// <summary>Where the training thread's time goes, in seconds since the start.</summary>
public sealed class PhaseTimes
{
    private long last;

    public double Gather { get; private set; }

    public double Forward { get; private set; }

    public double Loss { get; private set; }

    public double Backward { get; private set; }

    public double Apply { get; private set; }

    public double Total => Gather + Forward + Loss + Backward + Apply;

    public void Begin() => last = Stopwatch.GetTimestamp();

    public void EndGather() => Gather += Lap();

    public void EndForward() => Forward += Lap();

    public void EndLoss() => Loss += Lap();

    public void EndBackward() => Backward += Lap();

    public void EndApply() => Apply += Lap();

    private double Lap()
    {
        var now = Stopwatch.GetTimestamp();
        var lap = (double)(now - last) / Stopwatch.Frequency;
        last = now;
        return lap;
    }
}
