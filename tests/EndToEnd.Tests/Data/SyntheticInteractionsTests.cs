using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.EndToEnd.Tests.Data;

public class SyntheticInteractionsTests
{
    private static readonly SyntheticDescription Small = new() { Users = 200, LiveItems = 100, PreparationImpressions = 1000, ReplayImpressions = 1000 };

    [Fact]
    public void The_same_seed_gives_the_same_bytes_and_another_seed_others()
    {
        var first = Bytes(Small, DatasetPart.Preparation);
        Assert.Equal(first, Bytes(Small, DatasetPart.Preparation));
        Assert.NotEqual(first, Bytes(Small with { Seed = 2 }, DatasetPart.Preparation));
    }

    [Fact]
    public void Reading_the_replay_alone_gives_what_follows_the_preparation()
    {
        var interactions = new SyntheticInteractions(Small);
        Assert.Equal(
            interactions.Generate(DatasetPart.Preparation, DatasetPart.Replay).Skip(1000).Select(i => i.ToTeacherRecord("p", 1, 1).ToByteString()),
            interactions.Generate(DatasetPart.Replay, DatasetPart.Replay).Select(i => i.ToTeacherRecord("p", 1, 1).ToByteString()));
    }

    // Labels are Bernoulli with the true logits: in every decile of predicted probability as many positives as expected.
    [Fact]
    public void Labels_follow_the_true_logits()
    {
        var pairs = new SyntheticInteractions(Small).Generate(DatasetPart.Preparation, DatasetPart.Replay)
            .SelectMany(i => i.TrueLogits!.Zip(i.Labels[0].States, (logit, state) => (Probability: 1 / (1 + Math.Exp(-logit)), Clicked: state == (byte)LabelState.Positive)))
            .OrderBy(p => p.Probability)
            .ToList();

        foreach (var decile in pairs.Chunk(pairs.Count / 10))
        {
            var expected = decile.Sum(p => p.Probability);
            var deviation = Math.Sqrt(decile.Sum(p => p.Probability * (1 - p.Probability)));
            Assert.Equal(expected, decile.Count(p => p.Clicked), 4 * deviation);
        }
    }

    [Fact]
    public void The_hint_raises_the_best_possible_order()
    {
        var interactions = new SyntheticInteractions(Small);
        var (teacher, student) = interactions.BayesGauc(interactions.Generate(DatasetPart.Preparation, DatasetPart.Replay));
        Assert.InRange(student, 0.7, teacher - 0.02);
        Assert.InRange(teacher, 0.75, 0.95);
    }

    [Fact]
    public void Items_come_and_go_and_are_distinct_within_an_impression()
    {
        var ids = new SyntheticInteractions(Small).Generate(DatasetPart.Preparation, DatasetPart.Replay)
            .Select(i => i.Item[0].RawInt64.ToByteArray().Chunk(8).Select(b => BitConverter.ToInt64(b)).ToArray())
            .ToList();

        Assert.All(ids, i => Assert.Equal(i.Length, i.Distinct().Count()));
        var early = ids.Take(200).SelectMany(i => i).ToHashSet();
        var late = ids.TakeLast(200).SelectMany(i => i).ToHashSet();
        Assert.True(late.Count(i => !early.Contains(i)) > 20, "no new items arrived");
        Assert.True(early.Count(i => !late.Contains(i)) > 20, "no old items left");
    }

    private static List<ByteString> Bytes(SyntheticDescription options, DatasetPart part) =>
        [.. new SyntheticInteractions(options).Generate(part, part).Select(i => i.ToTeacherRecord("p", 1, 1).ToByteString())];
}
