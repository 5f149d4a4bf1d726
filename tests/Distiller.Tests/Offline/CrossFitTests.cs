using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Offline;
using KdServing.Distiller.Teachers;

namespace KdServing.Distiller.Tests.Offline;

public sealed class CrossFitTests
{
    private static readonly TeacherConfig Teacher = new() { Offline = new() { EmbeddingDim = 4, Deep = [8], Dropout = 0, Epochs = 3, BatchCandidates = 64, Folds = 3, Rounds = 1 } };

    [Fact]
    public void Out_of_fold_logits_do_not_know_the_rows_own_labels()
    {
        var train = Train();
        var flipped = train.Select((t, i) => i == 0 ? t with { Record = Flipped(t.Record) } : t).ToList();
        var candidates = train[0].Record.CandidateCount;

        var (before, after) = (Fit(train, []), Fit(flipped, []));

        Assert.Equal(before[CrossFit.OutOfFold][0][..candidates], after[CrossFit.OutOfFold][0][..candidates]);
        Assert.NotEqual(before[CrossFit.Train][0][..candidates], after[CrossFit.Train][0][..candidates]);
    }

    [Fact]
    public void Rows_of_one_group_are_of_one_fold()
    {
        // All impressions of one group: K − 1 networks learn all of them, one learns none and keeps its first weights.
        var train = Train().Select(t => t with { Group = 7 }).ToList();
        var twin = train.Select(t => t with { Record = Flipped(t.Record) }).ToList();

        Assert.Equal(Fit(train, [])[CrossFit.OutOfFold][0], Fit(twin, [])[CrossFit.OutOfFold][0]);
    }

    [Fact]
    public void Other_sets_get_the_mean_of_all_networks()
    {
        var train = Train();
        var records = train.Select(t => t.Record).ToList();

        var logits = Fit(train, [new("again", records)]);

        Assert.Equal(logits[CrossFit.Train][0], logits["again"][0]);
    }

    private static Dictionary<string, float[][]> Fit(IReadOnlyList<OfflineImpression> train, IReadOnlyList<ScoredSet> sets) =>
        new CrossFit(Training.Impressions.Schema, Teacher, 3).Run(train, sets, CancellationToken.None);

    private static List<OfflineImpression> Train() =>
        [.. Enumerable.Range(0, 60).Select(i => new OfflineImpression(Training.Impressions.Record(i), (ulong)i))];

    private static TeacherRecord Flipped(TeacherRecord record)
    {
        var copy = record.Clone();
        foreach (var labels in copy.Labels)
            labels.States = ByteString.CopyFrom([.. labels.States.Select(s => s == (byte)LabelState.Positive ? (byte)LabelState.Negative : (byte)LabelState.Positive)]);
        return copy;
    }
}
