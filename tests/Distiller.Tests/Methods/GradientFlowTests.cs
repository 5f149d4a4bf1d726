using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Tests.Training;
using KdServing.Distiller.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Methods;

/// <summary>Which parameters a term reaches, and which it must not.</summary>
public sealed class GradientFlowTests
{
    // What plays the teacher in a method, by the names of its parameters.
    private static readonly string[] Teachers = ["method.joint", "method.deep", "method.adapter", "method.ensemble"];

    public static TheoryData<string> Names => [.. PresetCatalogue.Names];

    // Without labels only distillation terms are left.
    [Theory]
    [MemberData(nameof(Names))]
    public void No_teacher_receives_gradient_from_a_distillation_term(string preset)
    {
        using var learner = TaughtImpressions.Learner(preset);
        TaughtImpressions.Learn(learner, 0, 7);

        var gradients = Gradients(learner, withLabels: false);

        Assert.All(gradients.Where(g => Teachers.Any(t => g.Key.StartsWith(t, StringComparison.Ordinal))), g => Assert.Null(g.Value));
    }

    [Theory]
    [InlineData(TaughtImpressions.Mlp, "output")]
    [InlineData(TaughtImpressions.TwoTower, "combine_0", "live_net_")]
    public void The_auxiliary_heads_teacher_never_reaches_the_main_head(string student, params string[] mainHead)
    {
        using var learner = TaughtImpressions.Learner("auxiliary_head", student: student);

        var gradients = Gradients(learner, withLabels: false);

        var main = gradients.Where(g => mainHead.Any(m => g.Key.StartsWith(m, StringComparison.Ordinal))).ToList();
        Assert.NotEmpty(main);
        Assert.All(main, g => Assert.Null(g.Value));
        Assert.All(gradients.Where(g => g.Key.StartsWith("method.aux", StringComparison.Ordinal)), g => Assert.Contains(g.Value!, x => x != 0));
        Assert.Contains(gradients, g => g.Key.StartsWith(student == TaughtImpressions.Mlp ? "item" : "item_tower", StringComparison.Ordinal) && g.Value is not null);
    }

    [Fact]
    public void Rockets_hint_reaches_the_light_net_and_the_shared_layers_alone()
    {
        using var learner = TaughtImpressions.Learner("rocket");

        var gradients = Gradients(learner, withLabels: false);

        Assert.All(gradients, g => Assert.Equal(g.Key.StartsWith("method.", StringComparison.Ordinal), g.Value is null));
    }

    [Fact]
    public void With_share_stop_the_shared_layers_learn_from_the_booster_alone()
    {
        using var learner = TaughtImpressions.Learner("rocket", "\"share\": \"stop\"");
        using var scope = NewDisposeScope();

        var hint = Gradients(learner, withLabels: false);
        Assert.All(hint.Where(g => Lower(g.Key)), g => Assert.Null(g.Value));
        Assert.All(hint.Where(g => !Lower(g.Key) && !g.Key.StartsWith("method.", StringComparison.Ordinal)), g => Assert.NotNull(g.Value));

        var step = learner.Forward(TaughtImpressions.Batch(learner, 0, 8));
        learner.Method.Loss(step);
        step.Terms.Single(t => t.Name == "joint_0").Loss.backward();
        var booster = Gradients(learner);
        Assert.All(booster.Where(g => Lower(g.Key) || g.Key.StartsWith("method.", StringComparison.Ordinal)), g => Assert.NotNull(g.Value));
        Assert.All(booster.Where(g => g.Key.StartsWith("hidden", StringComparison.Ordinal) || g.Key.StartsWith("output", StringComparison.Ordinal)), g => Assert.Null(g.Value));

        static bool Lower(string name) => name.StartsWith("user", StringComparison.Ordinal) || name.StartsWith("item", StringComparison.Ordinal) || name.StartsWith("live", StringComparison.Ordinal);
    }

    // The correction learns from labels with everything else constant.
    [Theory]
    [InlineData("adapter", "adapter_0", "method.adapter")]
    [InlineData("ensemble", "ensemble_gate_0", "method.ensemble_0")]
    public void A_corrections_own_loss_trains_the_correction_alone(string preset, string term, string part)
    {
        using var learner = TaughtImpressions.Learner(preset);
        TaughtImpressions.Learn(learner, 0, 3);
        using var scope = NewDisposeScope();
        var step = learner.Forward(TaughtImpressions.Batch(learner, 0, 8));
        learner.Method.Loss(step);

        step.Terms.Single(t => t.Name == term).Loss.backward();

        var gradients = Gradients(learner);
        Assert.All(gradients, g => Assert.Equal(g.Key.StartsWith(part, StringComparison.Ordinal), g.Value is not null));
        Assert.All(step.Gathered, g => Assert.Null(g.Matrix.grad));
    }

    [Fact]
    public void FitNets_trains_its_stages_one_after_the_other()
    {
        using var learner = TaughtImpressions.Learner("fitnets", "\"own_embeddings\": [\"all\"]");
        var start = Values(learner);
        TaughtImpressions.Learn(learner, 0, 10);
        var afterTeacher = Values(learner);
        TaughtImpressions.Learn(learner, 10, 10);
        var afterHint = Values(learner);
        TaughtImpressions.Learn(learner, 20, 10);
        var end = Values(learner);

        Assert.Equal(["method.joint"], Changed(start, afterTeacher));
        Assert.Equal(["item", "live", "method.hint", "user"], Changed(afterTeacher, afterHint));
        Assert.Equal(["hidden_0", "item", "live", "output", "user"], Changed(afterHint, end));

        static IEnumerable<string> Changed(Dictionary<string, float[]> before, Dictionary<string, float[]> after) => before
            .Where(p => !p.Value.SequenceEqual(after[p.Key]))
            .Select(p => string.Join('.', p.Key.Split('.').Take(p.Key.StartsWith("method", StringComparison.Ordinal) ? 2 : 1)))
            .Distinct().Order(StringComparer.Ordinal);
    }

    [Fact]
    public void A_share_star_teacher_reads_rows_of_its_own()
    {
        using var learner = TaughtImpressions.Learner("pfd_star", "\"own_embeddings\": [\"user_id\"], \"warm_up_steps\": 1000");
        using var scope = NewDisposeScope();
        var step = learner.Forward(TaughtImpressions.Batch(learner, 0, 8));
        learner.Method.Loss(step);
        step.Terms.Single(t => t.Name == "joint_0").Loss.backward();

        // user_id fills the first 8 of the user's columns, the history the other 8.
        var shared = step.Input.User.grad!.data<float>().ToArray().Chunk(16).ToArray();
        Assert.All(shared, row => Assert.All(row[..8], x => Assert.Equal(0, x)));
        Assert.Contains(shared, row => row[8..].Any(x => x != 0));
        var own = step.Gathered.Single(g => g.Embeddings != learner.Embeddings).Matrix.grad!.data<float>().ToArray().Chunk(16).ToArray();
        Assert.Contains(own, row => row[..8].Any(x => x != 0));
        Assert.All(own, row => Assert.All(row[8..], x => Assert.Equal(0, x)));
    }

    [Fact]
    public void Exposed_candidates_keep_their_hard_labels()
    {
        using var learner = TaughtImpressions.Learner("unexposed");
        using var scope = NewDisposeScope();
        var step = learner.Forward(TaughtImpressions.Batch(learner, 0, 4, record => record.Labels.Clear()));
        step.Logits.retain_grad();
        learner.Method.Loss(step)!.Backward();

        var gradient = step.Logits.grad!.data<float>().ToArray();
        for (var i = 0; i < gradient.Length; i++)
            Assert.Equal(i % Impressions.Candidates >= 8, gradient[i] != 0);
    }

    [Theory]
    [InlineData("teacher_age", """ "half_life_versions": 1 """)]
    [InlineData("teacher_age", """ "half_life_seconds": 1, "half_life_versions": null """)]
    public void An_old_label_weighs_less(string preset, string options)
    {
        using var learner = TaughtImpressions.Learner(preset, options);
        using var scope = NewDisposeScope();
        var batch = learner.Method.NewBatch();
        for (var u = 0; u < 3; u++)
        {
            var record = TaughtImpressions.Record(0);
            record.Outputs[0].TeacherVersion = 10 - u;
            record.EventTimeMs -= u * 1000;
            record.Labels.Clear();
            batch.Add(record);
        }
        var step = learner.Forward(batch);
        step.Logits.retain_grad();
        learner.Method.Loss(step)!.Backward();

        var gradient = step.Logits.grad!.data<float>().ToArray();
        for (var i = 0; i < Impressions.Candidates; i++)
        {
            Assert.Equal(gradient[i] / 2, gradient[i + Impressions.Candidates], 1e-6);
            Assert.Equal(gradient[i] / 4, gradient[i + 2 * Impressions.Candidates], 1e-6);
        }
    }

    // The served logit is the difference of JRC's two; both forms are one loss.
    [Fact]
    public void Jrc_serves_the_difference_of_its_logits()
    {
        using var learner = TaughtImpressions.Learner("jrc", "\"loss_weight\": 0");
        TaughtImpressions.Learn(learner, 0, 5);
        using var scope = NewDisposeScope();
        var batch = TaughtImpressions.Batch(learner, 100, 4, record =>
        {
            record.Origin = ByteString.CopyFrom([.. Enumerable.Repeat((byte)CandidateOrigin.Exposed, Impressions.Candidates)]);
            record.SamplingLogQ.Clear();
            record.SamplingLogQ.AddRange(new float[Impressions.Candidates]);
        });
        var step = learner.Forward(batch);
        var value = learner.Method.Loss(step)!.Value;
        var negative = nn.functional.linear(step.Hidden!, Named("method.jrc.layer_0.weight"), Named("method.jrc.layer_0.bias")).select(1, 0);
        var labels = tensor(batch.Labels(0).ToArray().Select(s => s == (byte)LabelState.Positive ? 1f : 0).ToArray());
        var loss = LossCatalogue.Create(Losses.Tables.Entry(""" "loss_type": "JRC_LOSS", "jrc_loss": { "session_name": "request_id" } """), "kd[0]");

        var expected = loss.Value(stack([negative, negative.add(step.Logits.select(1, 0))], 1), labels, SessionIndex.Uniform(4, Impressions.Candidates));

        Assert.Equal(expected.ToDouble(), value, 1e-5);

        Parameter Named(string name) => learner.NamedParameters.Single(p => p.Name == name).Parameter;
    }

    private static Dictionary<string, float[]?> Gradients(Learner learner, bool withLabels)
    {
        using var scope = NewDisposeScope();
        foreach (var (_, parameter) in learner.NamedParameters)
            parameter.grad = null;
        var step = learner.Forward(TaughtImpressions.Batch(learner, 0, 8, record =>
        {
            if (!withLabels)
                record.Labels.Clear();
        }));
        learner.Method.Loss(step)?.Backward();
        var gradients = Gradients(learner);
        foreach (var (_, parameter) in learner.NamedParameters)
            parameter.grad = null;
        return gradients;
    }

    private static Dictionary<string, float[]?> Gradients(Learner learner) =>
        learner.NamedParameters.ToDictionary(p => p.Name, p => p.Parameter.grad?.data<float>().ToArray());

    private static Dictionary<string, float[]> Values(Learner learner) =>
        learner.NamedParameters.ToDictionary(p => p.Name, p => p.Parameter.detach().data<float>().ToArray());
}
