using KdServing.Contracts;
using KdServing.Distiller.Losses;
using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>JRC (arXiv:2208.06164) on hard labels: the student learns two logits and serves one.</summary>
/// <remarks>
/// JRC's logits (n, p) give σ(p − n) as the probability. The served logit is s = p − n, and a second head gives n, so that p = n + s: the
/// same family of functions, of which only s is exported. Candidates with a known label of the listed origins take part; a sampled
/// candidate's logit is corrected as in <see cref="HardLabelLoss"/>.
/// </remarks>
internal sealed class JointRankingCalibration : MethodPart
{
    public const string Name = "jrc";

    private readonly Perceptron negative;
    private readonly DistillationLoss loss;
    private readonly HardLabelConfig hard;
    private readonly double weight;

    public JointRankingCalibration(PartContext context, JrcOptions options)
    {
        weight = options.Weight;
        hard = context.HardLabel;
        loss = LossCatalogue.Create(KdEntry.Of("JRC_LOSS", "jrc_loss", new()
        {
            ["session_name"] = ListwiseLoss.TrainingSession,
            ["alpha"] = options.Alpha,
            ["same_label_loss"] = options.SameLabelLoss,
        }), Name);
        negative = Register(Name, Perceptron.Constant(context.Shape.HiddenWidth, [], context.Schema.Targets.Count, new(context.Seed(Name))));
    }

    public override void Run(LearningStep step)
    {
        var batch = step.Batch;
        var n = negative.forward(step.Hidden!);
        for (var t = 0; t < n.shape[1]; t++)
        {
            var (places, labels, logQ) = Labelled(batch.Labels(t), batch.Origins, batch.LogQ);
            if (places.Length == 0)
                continue;
            var at = tensor(places);
            var below = n.select(1, t).index_select(0, at);
            var served = step.Logits.select(1, t).index_select(0, at).sub(tensor(logQ));
            var sessionOf = Array.ConvertAll(places, p => step.Batch.RowOf[(int)p]);
            step.Add($"{Name}_{t}", loss.Value(new(stack([below, below.add(served)], 1), tensor(labels), SessionIndex.Of(sessionOf))), weight);
        }
    }

    private (long[] Places, float[] Labels, float[] LogQ) Labelled(ReadOnlySpan<byte> states, ReadOnlySpan<byte> origins, ReadOnlySpan<float> logQ)
    {
        var (places, labels, corrections) = (new List<long>(), new List<float>(), new List<float>());
        for (var i = 0; i < states.Length; i++)
        {
            var isSampled = origins[i] == (byte)CandidateOrigin.Sampled;
            var counts = isSampled ? hard.Origins.Contains("sampled") : origins[i] == (byte)CandidateOrigin.Exposed && hard.Origins.Contains("exposed");
            if (states[i] == (byte)LabelState.Unknown || !counts)
                continue;
            places.Add(i);
            labels.Add(states[i] == (byte)LabelState.Positive ? 1 : 0);
            corrections.Add(hard.LogQCorrection && isSampled ? logQ[i] : 0);
        }
        return ([.. places], [.. labels], [.. corrections]);
    }
}
