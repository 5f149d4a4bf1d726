using KdServing.Contracts;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace KdServing.Distiller.Losses;

/// <summary>A loss over the list of candidates of one session: −Σ y·log_softmax(s/T), mean over sessions.</summary>
/// <remarks>
/// dL/ds_i = (softmax(s/T)_i · Σ y − y_i) / (G·T) with G sessions. A session of one candidate contributes 0 and counts.
/// Memory is sessions × longest session.
/// </remarks>
public abstract class ListwiseLoss(KdLossConfig config, LossColumn session, double temperature) : DistillationLoss(config)
{
    /// <summary>What a session is called in training: one record of the stream.</summary>
    public const string TrainingSession = "request_id";

    /// <summary>A padded place: far below every logit, yet finite, so that 0 × log_softmax stays 0.</summary>
    protected const double Absent = -1e30;

    public override LossColumn? Session => session;

    // A weight within a list would change what the list is; EasyRec logs an error and drops them.
    public override bool TakesWeights => false;

    protected double Temperature => temperature;

    protected override Tensor Compare(LossInput input)
    {
        if (input.Sessions.Count == 0)
            return input.Student.mul(0).sum();
        var s = input.Sessions.Pad(Scores(input.Student), Absent).div(temperature);
        var losses = functional.log_softmax(s, 1).mul(Targets(input));
        return input.SessionWeights is { } weights
            ? Mean(losses.sum(1).neg(), weights)
            : losses.sum().div(-input.Sessions.Count);
    }

    public override double Slope(in LossSpans input, double scale, Span<float> gradient)
    {
        var (value, weightless) = (0.0, 0);
        Span<float> s = new float[input.Sessions.Longest], y = new float[s.Length];
        var counting = input.Sessions.Count;
        foreach (var weight in input.SessionWeights)
            weightless += weight == 0 ? 1 : 0;
        counting = Math.Max(1, counting - weightless);
        for (var session = 0; session < input.Sessions.Count; session++)
        {
            var members = input.Sessions.Members(session);
            var weight = input.SessionWeights.IsEmpty ? 1 : input.SessionWeights[session];
            Span<float> list = s[..members.Length], target = y[..members.Length];
            for (var m = 0; m < members.Length; m++)
                (list[m], target[m]) = (input.Student[members[m]], input.Teacher[members[m]]);
            TensorPrimitives.Divide(list, (float)temperature, list);
            Targets(target);
            var (mass, cross) = ((double)TensorPrimitives.Sum<float>(target), (double)TensorPrimitives.Dot<float>(target, list));
            var top = TensorPrimitives.Max<float>(list);
            TensorPrimitives.Subtract(list, top, list);
            TensorPrimitives.Exp(list, list);
            var sum = TensorPrimitives.Sum<float>(list);
            value += weight * (mass * (top + Math.Log(sum)) - cross);
            var step = (float)(scale * weight / (counting * temperature));
            for (var m = 0; m < members.Length; m++)
                gradient[members[m]] += step * ((float)mass * list[m] / sum - target[m]);
        }
        return value / counting;
    }

    /// <summary>For losses that <see cref="DistillationLoss.KnowsSlope"/>: one session's soft labels become y; [members].</summary>
    protected virtual void Targets(Span<float> teacher) => throw new NotSupportedException(Config.LossType);

    /// <summary>What the student's softmax is taken of.</summary>
    protected virtual Tensor Scores(Tensor student) => student;

    /// <returns>y: [sessions, longest session], 0 in padded places.</returns>
    protected abstract Tensor Targets(LossInput input);

    /// <summary>Checks what all listwise losses share.</summary>
    protected static LossColumn RequireList(KdLossConfig config, string field, string blockName, string? sessionName, double temperature)
    {
        RequireTemperature(temperature, $"{field}.{blockName}.temperature");
        RequireNoTemperature(config, field, $"{blockName}.temperature");
        return RequireSession(config, $"{field}.{blockName}", sessionName);
    }

    /// <summary>The session's column; its absence is refused.</summary>
    internal static LossColumn RequireSession(KdLossConfig config, string block, string? sessionName)
    {
        if (string.IsNullOrEmpty(sessionName))
        {
            throw new ContractException($"{block}.session_name",
                $"is missing: {config.LossType} compares candidates of one session; name its column, in training '{TrainingSession}'");
        }
        return new($"{block}.session_name", sessionName);
    }

    /// <summary>What EasyRec evaluates as Python, or trains beside the model, cannot be read here.</summary>
    protected static void RequirePlain(string? transformFn, bool scaleLogits, string block)
    {
        if (transformFn is not null)
            throw new ContractException($"{block}.transform_fn", "is Python code, which is not run here; transform the soft-label column instead");
        if (scaleLogits)
            throw new ContractException($"{block}.scale_logits", "is true, which is not supported: losses have no weights of their own; leave it out");
    }
}
