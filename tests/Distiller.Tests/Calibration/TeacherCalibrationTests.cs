using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Calibration;
using KdServing.Distiller.Tests.Training;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Calibration;

public sealed class TeacherCalibrationTests
{
    private const int BatchRecords = 16;

    private static readonly SoftLabelSource[] Sources = [new("ranker", "click"), new(null, "click")];

    [Fact]
    public void A_teacher_of_one_version_is_learned_as_it_is()
    {
        var calibration = Create();

        for (var b = 0; b < 100; b++)
            Assert.Equal(Said(b, Version(1)), Learned(calibration, b, Version(1)));
    }

    // The demo's teacher: a little further with every version, and another one each second.
    [Fact]
    public void Versions_that_creep_are_learned_as_they_are()
    {
        var calibration = Create();

        for (var b = 0; b < 400; b++)
        {
            var creeping = Version(1 + b / 4, bias: b / 4 * 0.002f);
            Assert.Equal(Said(b, creeping), Learned(calibration, b, creeping));
        }
    }

    [Fact]
    public void A_jump_is_taken_out_of_the_soft_labels_of_every_source()
    {
        var calibration = Create();
        for (var b = 0; b < 100; b++)
            Learned(calibration, b, Version(1));

        var first = Distance(100, calibration);
        for (var b = 101; b < 140; b++)
            Learned(calibration, b, Version(2, 2, 1));
        var later = Distance(140, calibration);

        Assert.InRange(first, 0, 0.6);
        Assert.InRange(later, 0, 0.1);
        var taken = calibration.Report()[^1];
        Assert.Equal(("ranker", 2, "click"), (taken.Teacher, taken.Version, taken.Target));
        Assert.Equal(41 * BatchRecords, taken.Records);
        Assert.InRange(taken.Map.Scale, 0.45, 0.55);

        // Root of the mean square distance to what version 1 would have said.
        double Distance(int b, TeacherCalibration of)
        {
            var (learned, plain) = (Learned(of, b, Version(2, 2, 1)), Said(b, Version(1)));
            return Math.Sqrt(learned.Zip(plain, (x, y) => (double)(x - y) * (x - y)).Average());
        }
    }

    [Fact]
    public void Both_versions_of_a_teacher_that_is_being_rolled_out_are_taken_each_by_its_map()
    {
        var calibration = Create();
        for (var b = 0; b < 100; b++)
            Learned(calibration, b, Version(1));
        for (var b = 100; b < 160; b++)
            Learned(calibration, b, b % 2 == 0 ? Version(2, 2, 1) : Version(1));

        Assert.Equal(Said(161, Version(1)), Learned(calibration, 161, Version(1)));
        var (mixed, plain) = (Learned(calibration, 162, Version(2, 2, 1)), Said(162, Version(1)));
        Assert.InRange(mixed.Average() - plain.Average(), -0.15, 0.15);
        // And back again: what is known of version 1 was not forgotten.
        Assert.Equal(Said(163, Version(1)), Learned(calibration, 163, Version(1)));
    }

    // The jump was true when the labels say so: more is clicked, and the new version knows it.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Labels_decide_in_time_whether_a_jump_was_true(bool isTrue)
    {
        var calibration = Create(new() { GlideRecords = 2000, WindowRecords = 500 });
        for (var b = 0; b < 100; b++)
            Learned(calibration, b, Version(1));
        var handedOn = new List<double>();
        for (var b = 100; b < 400; b++)
        {
            Learned(calibration, b, Version(2, 1, 1.5f), labelled: isTrue ? 1.5f : 0);
            handedOn.Add(calibration.Report()[^1].HandedOn);
        }

        // At no batch more than a batch's share: nothing jumps.
        Assert.All(handedOn.Zip(handedOn.Skip(1)), h => Assert.InRange(Math.Abs(h.Second - h.First), 0, BatchRecords / 2000.0 + 1e-9));
        Assert.InRange(handedOn[^1], isTrue ? 0.85 : 0, isTrue ? 1 : 0.15);
        Assert.InRange(calibration.Report()[^1].Map.Bias, isTrue ? -0.25 : -1.6, isTrue ? 0.01 : -1.2);
    }

    [Fact]
    public void Switched_off_it_tells_jumps_and_changes_nothing()
    {
        var calibration = Create(new() { Enabled = false, WindowRecords = 500 });
        for (var b = 0; b < 60; b++)
            Learned(calibration, b, Version(1));

        for (var b = 60; b < 120; b++)
            Assert.Equal(Said(b, Version(2, 2, 1)), Learned(calibration, b, Version(2, 2, 1)));

        Assert.Equal(LogitMap.Identity, calibration.Report()[^1].Map);
    }

    // In the middle of a window, with a question open to the labels.
    [Fact]
    public void What_is_saved_and_restored_goes_on_bit_for_bit()
    {
        var whole = Create(new() { GlideRecords = 500, WindowRecords = 1000 });
        for (var b = 0; b < 130; b++)
            Learned(whole, b, Of(b), labelled: 1);
        var restored = Create(new() { GlideRecords = 500, WindowRecords = 1000 });
        restored.Restore(whole.Save());

        for (var b = 130; b < 300; b++)
            Assert.Equal(Learned(whole, b, Of(b), labelled: 1), Learned(restored, b, Of(b), labelled: 1));

        Assert.Equal(whole.Save(), restored.Save());
        Assert.Contains(whole.Report(), t => t.HandedOn is > 0 and < 1);
        Assert.Throws<ContractException>(() => Create().Restore(whole.Save()[..^1]));
        Assert.Throws<ContractException>(() => Create().Restore([9, 0, 0, 0]));

        static Speech Of(int b) => b < 100 ? Version(1) : b < 200 ? Version(2, 2, 1) : Version(3, 0.5f, -1);
    }

    [Theory]
    [InlineData("""{ "window_records": 99 }""", "teacher_calibration.window_records")]
    [InlineData("""{ "tolerance": 0 }""", "teacher_calibration.tolerance")]
    [InlineData("""{ "tolerance": "NaN" }""", "teacher_calibration.tolerance")]
    [InlineData("""{ "glide_records": 0 }""", "teacher_calibration.glide_records")]
    [InlineData("""{ "versions_kept": 1 }""", "teacher_calibration.versions_kept")]
    [InlineData("""{ "window": 3 }""", "distiller")]
    [InlineData("null", "distiller")]
    public void A_block_that_is_not_valid_is_refused_by_field(string block, string field)
    {
        var fault = Assert.Throws<ContractException>(() => DistillerConfig.Parse($$"""
            { "model": "m", "kd": [ { "loss_type": "BINARY_CROSS_ENTROPY_LOSS", "pred_name": "logits", "soft_label_name": "ranker/click" } ], "teacher_calibration": {{block}} }
            """));

        Assert.Equal(field, fault.Field);
    }

    private sealed record Speech(long Version, float Scale, float Bias);

    private static Speech Version(long version, float scale = 1, float bias = 0) => new(version, scale, bias);

    private static TeacherCalibration Create(TeacherCalibrationConfig? config = null) => new(config ?? new() { WindowRecords = 1000 }, new(), Impressions.Schema.Targets);

    private static float[] Said(int b, Speech speech) => Batch(b, speech, 0).SoftLabels(0).ToArray();

    private static float[] Learned(TeacherCalibration calibration, int b, Speech speech, float labelled = 0)
    {
        var batch = Batch(b, speech, labelled);
        calibration.Apply(batch);
        Assert.Equal(batch.SoftLabels(0), batch.SoftLabels(1));
        return batch.SoftLabels(0).ToArray();
    }

    /// <param name="labelled">Labels are drawn with logits so much higher than version 1's.</param>
    private static FeatureBatch Batch(int b, Speech speech, float labelled)
    {
        var batch = new FeatureBatch(Impressions.Schema, Sources);
        for (var r = b * BatchRecords; r < (b + 1) * BatchRecords; r++)
        {
            var (record, random) = (Impressions.Record(r), new Random(r + 1_000_000));
            var truth = record.Outputs[0].Logits.ToArray();
            record.Labels[0].States = ByteString.CopyFrom([.. truth.Select(t =>
                (byte)(random.NextDouble() < 1 / (1 + Math.Exp(-t - labelled)) ? LabelState.Positive : LabelState.Negative))]);
            record.Outputs[0] = new() { Teacher = "ranker", Target = "click", TeacherVersion = speech.Version, Logits = { truth.Select(t => speech.Scale * t + speech.Bias) } };
            batch.Add(record);
        }
        return batch;
    }
}
