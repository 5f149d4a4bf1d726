using KdServing.Contracts;
using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>Pulls a student's predictions towards a teacher's. One instance an entry of the <c>kd</c> list; stateless.</summary>
/// <param name="config">Checked by <see cref="LossCatalogue"/>.</param>
public abstract class DistillationLoss(KdLossConfig config)
{
    // Keras' backend epsilon, which EasyRec clips probabilities with.
    private const double Epsilon = 1e-7;

    protected KdLossConfig Config { get; } = config;

    public string Name => Config.Name;

    public double Weight => Config.LossWeight;

    /// <summary>The unweighted loss, a scalar.</summary>
    /// <param name="student">Predictions [N].</param>
    /// <param name="teacher">Soft labels [N]; no gradient flows into them.</param>
    public abstract Tensor Value(Tensor student, Tensor teacher, SessionIndex sessions);

    /// <summary>Both sides as logits over the temperature.</summary>
    protected (Tensor Student, Tensor Teacher) SoftenedLogits(Tensor student, Tensor teacher) =>
        (Logits(student, Config.PredIsLogits).div(Config.Temperature), Logits(teacher.detach(), Config.LabelIsLogits).div(Config.Temperature));

    /// <summary>The factor of <see cref="KdLossConfig.ScaleByT2"/>.</summary>
    protected double T2 => Config.ScaleByT2 ? Config.Temperature * Config.Temperature : 1;

    // EasyRec takes log(p) for binary cross entropy, which can never ask for more than 0.5; the inverse of the sigmoid is right.
    private static Tensor Logits(Tensor values, bool isLogits)
    {
        if (isLogits)
            return values;
        var p = values.clamp(Epsilon, 1 - Epsilon);
        return p.log().sub((1 - p).log());
    }

    protected static void RequireTemperature(double temperature, string field)
    {
        if (!(temperature > 0) || !double.IsFinite(temperature))
            throw new ContractException(field, $"is {temperature}; must be above 0");
    }
}
