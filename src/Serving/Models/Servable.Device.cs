using KdServing.Contracts;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Kernels;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Models;

/// <content>A version that is on a device too, and what becomes of a request when the device fails.</content>
public sealed partial class Servable
{
    private volatile bool scoresOnDevice;

    /// <summary>Itself on a device; null: only the processor scores it. Set before it serves.</summary>
    internal DeviceVersion? Device { get; set; }

    /// <summary>Gives its place on a device back, before it serves.</summary>
    internal void LeaveDevice()
    {
        Device?.Dispose();
        Device = null;
    }

    /// <summary>Scores a request as it came off the wire, with item vectors that are known, on its device.</summary>
    /// <param name="vectors">Address of each candidate's item vector, in the device's memory or in page-locked memory, valid until the call returns.</param>
    /// <returns>False: the device has failed; to be scored by the processor.</returns>
    /// <inheritdoc cref="Score(RankRequest, ScoringRun, in CallBudget)"/>
    internal bool TryScoreOnDevice(RankCall call, ReadOnlySpan<nint> vectors, ItemVectorFormat format, ScoringRun run, in CallBudget budget)
    {
        run.Resize(vectors.Length, userColumns);
        if (!callDecoder.TryReadUser(call, run.User) || !callDecoder.TryReadItems(call, run.Candidates, hasVectors: true, run.Columns))
            requestDecoder.Read(call.ToMessage(), run, hasVectors: true);
        try
        {
            Device!.Score(run, vectors, format, budget);
        }
        catch (AcceleratorException e)
        {
            DeviceFailed(e);
            return false;
        }
        RequireFinite(run);
        return true;
    }

    private void ScoreWithEngine(ScoringRun run, in CallBudget budget)
    {
        if (Engine == ScoringEngine.Device)
        {
            try
            {
                Device!.Score(run, budget);
                return;
            }
            catch (AcceleratorException e)
            {
                DeviceFailed(e);
            }
        }
        run.Score(Kernel, budget);
    }

    // A device that fails does not come back in this process; requests are answered by the processor.
    private void DeviceFailed(AcceleratorException e)
    {
        EngineRefusal = e.Message;
        scoresOnDevice = false;
        Device!.ReportFailure(e.Message);
    }
}
