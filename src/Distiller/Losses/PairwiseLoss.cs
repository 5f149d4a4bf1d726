using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace KdServing.Distiller.Losses;

/// <summary>A loss over the pairs (winner, loser) of one session that the teacher orders strictly.</summary>
/// <remarks>
/// A pair weighs what its winner weighs. Memory is Σ n² over sessions of n. EasyRec pairs the whole batch when the block is missing;
/// here that needs <c>easyrec_compat</c>.
/// </remarks>
/// <param name="temperature">Divides the student's differences.</param>
public abstract class PairwiseLoss(KdLossConfig config, LossColumn? session, double temperature, double ohemRatio) : DistillationLoss(config)
{
    public override LossColumn? Session => session;

    protected double Temperature => temperature;

    protected override Tensor Compare(LossInput input)
    {
        var (student, teacher) = Scores(input);
        var (winners, losers) = input.Sessions.Pairs(teacher);
        return Value(Difference(student), Difference(teacher), input.Weights?.index_select(0, winners));

        Tensor Difference(Tensor of) => of.index_select(0, winners).sub(of.index_select(0, losers));
    }

    // Hard-example mining needs all pairs at once, and EasyRec's slips are not worth a second implementation.
    public override bool KnowsSlope => ohemRatio == 1 && !Config.EasyrecCompat;

    public override double Slope(in LossSpans input, double scale, Span<float> gradient)
    {
        var n = input.Student.Length;
        if (n == 0)
            return 0;
        var student = new float[n];
        var slopes = new float[n];
        TensorPrimitives.Multiply(input.Student, (float)(1 / temperature), student);
        var value = Mean(input, student, slopes);
        TensorPrimitives.MultiplyAdd(slopes, (float)(scale / temperature), gradient, gradient);
        return value;
    }

    /// <summary>The mean over pairs and its slope in the scaled student; as <see cref="Compare"/> of float32 numbers.</summary>
    /// <param name="student">s/T [N]; may be written.</param>
    /// <param name="slopes">dL/d(s/T) [N], written.</param>
    protected abstract double Mean(in LossSpans input, Span<float> student, Span<float> slopes);

    /// <summary>What is compared, [N] each; by default the student's over the temperature and the teacher's as it is.</summary>
    protected virtual (Tensor Student, Tensor Teacher) Scores(LossInput input) => (input.Student.div(temperature), input.Teacher);

    /// <param name="student">s_winner − s_loser [P].</param>
    /// <param name="teacher">t_winner − t_loser [P], above 0.</param>
    /// <param name="weights">[P]</param>
    protected abstract Tensor Value(Tensor student, Tensor teacher, Tensor? weights);

    /// <summary>The mean over pairs, or over the hardest of them.</summary>
    protected Tensor Reduce(Tensor losses, Tensor? weights) => ohemRatio == 1
        ? Mean(losses, weights)
        : HardestMean(weights is null ? losses : losses.mul(weights), ohemRatio);

    /// <summary>Checks what all pairwise losses share.</summary>
    /// <returns>The session's column; null where EasyRec would have none and compatibility is asked for.</returns>
    protected static LossColumn? RequirePairs(KdLossConfig config, string field, string blockName, string? sessionName, double temperature)
    {
        var block = $"{field}.{blockName}";
        RequireTemperature(temperature, $"{block}.temperature");
        RequireNoTemperature(config, field, $"{blockName}.temperature");
        return config.EasyrecCompat && sessionName is null ? null : ListwiseLoss.RequireSession(config, block, sessionName);
    }
}
