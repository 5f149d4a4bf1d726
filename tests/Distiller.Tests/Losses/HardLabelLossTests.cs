using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Tests.Training;
using KdServing.Distiller.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Losses;

public sealed class HardLabelLossTests
{
    private static readonly float[] Logits = [0.5f, -1f, 2f, 0f, 1f, -2f, 0.3f, 0.1f, -0.4f, 1.5f];

    // Candidate 0 was shown and clicked, 1 sampled at 1 %, 2 a probe; of the others nothing is known.
    private static readonly CandidateOrigin[] Origins = [CandidateOrigin.Exposed, CandidateOrigin.Sampled, CandidateOrigin.Probe];
    private static readonly float LogQ = MathF.Log(0.01f);

    [Fact]
    public void Only_listed_origins_with_known_labels_count()
    {
        using var scope = NewDisposeScope();

        var value = new HardLabelLoss(new()).Value(tensor(Logits), Batch(), 0)!;

        Assert.Equal(SoftPlus(-0.5), value.ToDouble(), 1e-6);
    }

    [Fact]
    public void A_sampled_candidate_is_corrected_by_its_probability()
    {
        using var scope = NewDisposeScope();

        var value = new HardLabelLoss(new() { Origins = ["exposed", "sampled"] }).Value(tensor(Logits), Batch(), 0)!;

        Assert.Equal((SoftPlus(-0.5) + SoftPlus(-1 - LogQ)) / 2, value.ToDouble(), 1e-6);
    }

    [Fact]
    public void Without_correction_the_logit_is_taken_as_it_is()
    {
        using var scope = NewDisposeScope();

        var value = new HardLabelLoss(new() { Origins = ["exposed", "sampled"], LogQCorrection = false }).Value(tensor(Logits), Batch(), 0)!;

        Assert.Equal((SoftPlus(-0.5) + SoftPlus(-1)) / 2, value.ToDouble(), 1e-6);
    }

    [Fact]
    public void The_slope_it_knows_is_autograds()
    {
        using var scope = NewDisposeScope();
        var loss = new HardLabelLoss(new() { Origins = ["exposed", "sampled"] });
        var logits = tensor(Logits).requires_grad_();
        loss.Value(logits, Batch(), 0)!.backward();
        var slopes = new float[Logits.Length];

        var value = loss.Slope(Logits, Batch(), 0, scale: 3, slopes);

        Assert.Equal((SoftPlus(-0.5) + SoftPlus(-1 - LogQ)) / 2, value!.Value, 1e-6);
        Assert.Equal(logits.grad!.data<float>().Select(g => 3 * g), slopes, (a, b) => Math.Abs(a - b) < 1e-6f);
    }

    // One positive in 1000 draws; negatives are seen with probability 0.02 each. The corrected optimum is the population's log-odds.
    [Fact]
    public void The_correction_recovers_the_populations_log_odds()
    {
        const double Q = 0.02;
        const int Positives = 10, Negatives = 10_000;
        var logit = 0.0;
        for (var step = 0; step < 200; step++)
        {
            var gradient = -Positives / (1 + Math.Exp(logit)) + Negatives * Q / (1 + Math.Exp(-(logit - Math.Log(Q))));
            logit -= gradient / (Positives + Negatives * Q);
        }

        // Positives carry no correction (exposed), so the optimum differs from the exact log-odds by a term of the order of the rate / q.
        Assert.Equal(Math.Log((double)Positives / Negatives), logit, 0.1);
    }

    [Fact]
    public void A_batch_without_labels_has_no_loss()
    {
        using var scope = NewDisposeScope();
        var record = Impressions.Record(1);
        record.Labels.Clear();
        var batch = new FeatureBatch(Impressions.Schema, []);
        batch.Add(record);

        Assert.Null(new HardLabelLoss(new()).Value(tensor(Logits), batch, 0));
    }

    [Fact]
    public void A_teacher_that_did_not_score_a_record_teaches_nothing_there()
    {
        using var scope = NewDisposeScope();
        var objective = new Objective(Impressions.Schema, new() { Weight = 0 },
            [new() { LossType = "KL_DIVERGENCE_LOSS", PredName = "logits", SoftLabelName = "ranker/click" }]);
        var batch = new FeatureBatch(Impressions.Schema, objective.Sources);
        batch.Add(Impressions.Record(1));
        var other = Impressions.Record(2);
        other.Outputs[0].Teacher = "another";
        batch.Add(other);
        var logits = zeros([20, 1]).requires_grad_();

        objective.Value(logits, batch)!.Backward();

        var gradient = logits.grad!.data<float>().ToArray();
        Assert.All(gradient[..10], g => Assert.NotEqual(0, g));
        Assert.All(gradient[10..], g => Assert.Equal(0, g));
    }

    private static FeatureBatch Batch()
    {
        var record = Impressions.Record(1);
        record.Origin = ByteString.CopyFrom([.. Origins.Select(o => (byte)o), .. Enumerable.Repeat((byte)CandidateOrigin.Exposed, 7)]);
        record.SamplingLogQ[1] = LogQ;
        record.Labels[0].States = ByteString.CopyFrom([(byte)LabelState.Positive, (byte)LabelState.Negative, (byte)LabelState.Positive, 0, 0, 0, 0, 0, 0, 0]);
        var batch = new FeatureBatch(Impressions.Schema, []);
        batch.Add(record);
        return batch;
    }

    private static double SoftPlus(double x) => Math.Log(1 + Math.Exp(x));
}
