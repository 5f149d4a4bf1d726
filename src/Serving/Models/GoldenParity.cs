using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>Compares a loaded version with what its trainer computed for the same requests.</summary>
internal static class GoldenParity
{
    // Float32 sums in another order differ by about 1e-6 relative; a wrong row or column differs by far more.
    private const float Tolerance = 1e-4f;

    /// <exception cref="ContractException">The golden batch is empty or malformed, or a logit differs by more than 1e-4 of max(1, |logit|).</exception>
    /// <exception cref="NonFiniteScoreException">A score is NaN or infinite.</exception>
    public static void Require(Servable servable, GoldenBatch golden, Pace pace)
    {
        if (golden.Cases.Count == 0)
            throw new ContractException(StudentSignature.GoldenFile, "holds no case to compare with");
        var run = servable.Rent();
        try
        {
            for (var c = 0; c < golden.Cases.Count; c++)
            {
                Compare(servable, golden.Cases[c], run, $"{StudentSignature.GoldenFile} case {c}");
                pace.Rest();
            }
        }
        finally
        {
            servable.Return(run);
        }
    }

    private static void Compare(Servable servable, GoldenCase golden, ScoringRun run, string name)
    {
        var request = golden.Request ?? throw new ContractException(name, "has no request");
        if (request.CandidateCount is < 1 or > TeacherRecordValidation.MaxCandidates)
            throw new ContractException(name, $"has {request.CandidateCount} candidates");
        if (golden.Logits.Count != request.CandidateCount * servable.Schema.Targets.Count)
            throw new ContractException(name, $"has {golden.Logits.Count} logits for {request.CandidateCount} candidates");
        servable.Score(request, run, CallBudget.Unlimited);
        for (var i = 0; i < golden.Logits.Count; i++)
        {
            var (expected, actual) = (golden.Logits[i], run.Logits[i]);
            // Written so that a NaN in the file fails too.
            if (!(MathF.Abs(actual - expected) <= Tolerance * MathF.Max(1, MathF.Abs(expected))))
                throw new ContractException(name, $"logit {i} is {actual} here and {expected} at the trainer");
        }
    }
}
