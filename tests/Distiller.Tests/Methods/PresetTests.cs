using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;
using KdServing.Distiller.Tests.Training;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Methods;

/// <summary>What holds for every preset.</summary>
public sealed class PresetTests
{
    public static TheoryData<string> Names => [.. PresetCatalogue.Names];

    public static TheoryData<string, string> NamesAndShapes
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var name in PresetCatalogue.Names)
            {
                data.Add(name, TaughtImpressions.Mlp);
                data.Add(name, TaughtImpressions.TwoTower);
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(NamesAndShapes))]
    public void The_student_moves_towards_the_truth(string preset, string student)
    {
        using var learner = TaughtImpressions.Learner(preset, student: student);

        TaughtImpressions.Learn(learner, 0, 100);

        var batch = TaughtImpressions.Batch(learner, 90_000, 50);
        var logits = new float[batch.Candidates];
        learner.Score(batch, logits);
        double[] truth = [.. Enumerable.Range(90_000, 50).SelectMany(r => Impressions.Record(r).Outputs[0].Logits).Select(t => (double)t)];
        var correlation = Correlation([.. logits.Select(l => (double)l)], truth);
        Assert.True(correlation > 0.2, $"correlation with the truth is {correlation:0.000}");
    }

    // Going on from a checkpoint must be going on, bit for bit: weights, moments, rows, gates, stages and what is drawn.
    [Theory]
    [MemberData(nameof(Names))]
    public void A_restored_learner_goes_on_as_the_saved_one(string preset)
    {
        using var folder = new TemporaryFolder();
        using var saved = TaughtImpressions.Learner(preset);
        TaughtImpressions.Learn(saved, 0, 12);
        using (var state = new LearnerState(saved))
        {
            using var stream = File.Create(folder["state"]);
            state.Write(stream);
        }
        TaughtImpressions.Learn(saved, 12, 12);
        using var restored = TaughtImpressions.Learner(preset);
        LearnerState.Restore([(folder["state"], "")], restored);
        TaughtImpressions.Learn(restored, 12, 12);

        Assert.Equal(Bytes(saved), Bytes(restored));

        byte[] Bytes(Learner learner)
        {
            using var state = new LearnerState(learner);
            using var memory = new MemoryStream();
            state.Write(memory);
            return memory.ToArray();
        }
    }

    // What is exported, and whom the twin is compared with, must not depend on what learns beside.
    [Theory]
    [MemberData(nameof(Names))]
    public void The_student_begins_as_its_twin_without_a_teacher(string preset)
    {
        using var learner = TaughtImpressions.Learner(preset);
        var shape = StudentConfig.Parse(TaughtImpressions.Mlp);
        using var twin = new Learner(TaughtImpressions.Schema, shape, TaughtImpressions.Config(preset).Optimizer, 7,
            Method.LabelsOnly(TaughtImpressions.Schema, shape, TaughtImpressions.Config(preset)));
        var batch = TaughtImpressions.Batch(learner, 0, 4);
        var (first, second) = (new float[batch.Candidates], new float[batch.Candidates]);
        learner.Score(batch, first);
        twin.Score(batch, second);

        Assert.Equal(second, first);
        Assert.Equal(twin.ParameterCount, learner.ParameterCount);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_batch_without_labels_and_teachers_can_be_scored(string preset)
    {
        using var learner = TaughtImpressions.Learner(preset);
        var batch = TaughtImpressions.Batch(learner, 0, 4, record =>
        {
            record.Labels.Clear();
            record.Outputs.Clear();
            record.Privileged.Clear();
        });
        var logits = new float[batch.Candidates];

        learner.ScoreAndLearn(batch, logits);

        Assert.All(logits, l => Assert.True(float.IsFinite(l)));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_cohort_learns_by_it(string preset)
    {
        using var cohort = new Cohort(TaughtImpressions.Schema, StudentConfig.Parse(TaughtImpressions.Mlp), TaughtImpressions.Config(preset));
        for (var b = 0; b < 2; b++)
        {
            cohort.Clear();
            for (var r = 0; r < 8; r++)
                cohort.Add(TaughtImpressions.Record(b * 8 + r));
            cohort.ScoreAndLearn();
        }

        Assert.True(cohort.Student.Adam.Steps == 2 && double.IsFinite(cohort.Student.Loss));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void An_unknown_parameter_is_refused(string preset)
    {
        var fault = Assert.Throws<ContractException>(() => TaughtImpressions.Learner(preset, "\"lamda\": 1"));

        Assert.Equal($"{preset}.lamda", fault.Field);
        Assert.Contains("one of", fault.Reason, StringComparison.Ordinal);
    }

    private static double Correlation(double[] a, double[] b)
    {
        var (ma, mb) = (a.Average(), b.Average());
        var covariance = a.Zip(b, (x, y) => (x - ma) * (y - mb)).Sum();
        return covariance / Math.Sqrt(a.Sum(x => (x - ma) * (x - ma)) * b.Sum(y => (y - mb) * (y - mb)));
    }
}
