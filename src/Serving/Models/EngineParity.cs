using KdServing.Contracts;
using KdServing.Serving.Kernels;

namespace KdServing.Serving.Models;

/// <summary>What is to compute scores.</summary>
public enum EngineChoice
{
    /// <summary>The device asked for; on the CPU the hand-written kernel, where it agrees with ONNX Runtime.</summary>
    Auto,

    /// <summary>As <see cref="Auto"/>, but the kernel's products are plain: neither on the processor's matrix unit nor in pairs.</summary>
    Vectors,

    /// <summary>ONNX Runtime.</summary>
    Onnx,
}

/// <summary>Lets the hand-written kernel score a version only where it agrees with ONNX Runtime.</summary>
internal static class EngineParity
{
    /// <summary>Of max(1, |logit|). Sums of a few hundred float32 products in another order differ by some 1e-6 of their terms.</summary>
    public const float Tolerance = 1e-5f;

    /// <summary>Scores the trainer's sample requests every way and sets <see cref="Servable.Engine"/> to the fastest that agrees.</summary>
    /// <exception cref="ContractException">A sample request is not of the version's schema.</exception>
    /// <exception cref="NonFiniteScoreException">A score is NaN or infinite by ONNX Runtime too.</exception>
    public static void Choose(Servable servable, GoldenBatch golden, float tolerance, Pace pace)
    {
        var (onProcessor, isOnDevice) = (servable.Engine, servable.Device is not null);
        if (onProcessor == ScoringEngine.OnnxRuntime && !isOnDevice)
            return;
        var run = servable.Rent();
        try
        {
            foreach (var request in golden.Cases.Select(c => c.Request).OfType<RankRequest>().Where(r => r.CandidateCount is > 0 and <= TeacherRecordValidation.MaxCandidates))
            {
                servable.Engine = ScoringEngine.OnnxRuntime;
                servable.Score(request, run, CallBudget.Unlimited);
                var expected = run.Logits.ToArray();
                pace.Rest();
                while (onProcessor != ScoringEngine.OnnxRuntime && !Agrees(servable, onProcessor, request, run, expected, tolerance))
                    onProcessor = onProcessor == ScoringEngine.Kernel ? ScoringEngine.OnnxRuntime : ScoringEngine.Kernel;
                isOnDevice = isOnDevice && Agrees(servable, ScoringEngine.Device, request, run, expected, tolerance);
                if (onProcessor == ScoringEngine.OnnxRuntime && !isOnDevice)
                    break;
                pace.Rest();
            }
        }
        finally
        {
            servable.Return(run);
        }
        servable.Engine = onProcessor;
        if (isOnDevice)
            servable.Engine = ScoringEngine.Device;
        else
            servable.LeaveDevice();
    }

    private static bool Agrees(Servable servable, ScoringEngine engine, RankRequest request, ScoringRun run, float[] expected, float tolerance)
    {
        servable.Engine = engine;
        var difference = Difference(servable, request, run, expected, tolerance);
        // A device that fails leaves the request to the processor, and has said why.
        if (servable.Engine != engine)
            return false;
        servable.EngineRefusal = difference ?? servable.EngineRefusal;
        return difference is null;
    }

    private static string? Difference(Servable servable, RankRequest request, ScoringRun run, float[] expected, float tolerance)
    {
        try
        {
            servable.Score(request, run, CallBudget.Unlimited);
        }
        catch (NonFiniteScoreException e)
        {
            return e.Message;
        }
        for (var i = 0; i < expected.Length; i++)
        {
            if (!(MathF.Abs(run.Logits[i] - expected[i]) <= tolerance * MathF.Max(1, MathF.Abs(expected[i]))))
                return $"logit {i} of a golden request is {run.Logits[i]} by {servable.Engine} and {expected[i]} by ONNX Runtime";
        }
        // It would be right all the same, and slow.
        return servable.Engine == ScoringEngine.PairKernel && run.RowsApart > 0
            ? $"a golden request has features or activations beyond {PairSums.Reach}, which are not multiplied in pairs"
            : null;
    }
}
