using KdServing.Contracts;
using KdServing.Distiller.Teachers;

namespace KdServing.Distiller.Offline;

/// <summary>Records that the teacher scores while it is cross-fitted.</summary>
/// <param name="Name">Key of the logits in the result.</param>
/// <param name="Records">In the order of the logits; enumerated once a network.</param>
public sealed record ScoredSet(string Name, IReadOnlyList<TeacherRecord> Records);

/// <summary>
/// Trains K networks a round, each on all folds but one, and scores records with them: those it learned from also by the one network
/// that has not seen them, all others by the mean of all networks.
/// </summary>
/// <remarks>
/// Logits of rows that a network has learned say little beyond their labels (they are memorised); out-of-fold logits are what it would
/// say of new ones. The mean over networks is steadier than either, and is the teacher that students are compared with.
/// </remarks>
public sealed class CrossFit(FeatureSchema schema, TeacherConfig teacher, ulong seed)
{
    /// <summary>Name of the out-of-fold logits of the training records, mean over rounds.</summary>
    public const string OutOfFold = "out_of_fold";

    /// <summary>Name of the mean logits of the training records: of each row, K − 1 of K networks have learned its label.</summary>
    public const string Train = "train";

    /// <summary>Out-of-fold logits of one round.</summary>
    public static string Member(int round) => $"member_{round}";

    /// <summary>Called with the share of all work that is done, and what is being done.</summary>
    public Action<double, string> Progress { get; init; } = (_, _) => { };

    /// <returns>By set and target, [targets][candidates]: the sets given, and <see cref="Train"/>, <see cref="OutOfFold"/>, <see cref="Member"/>.</returns>
    /// <exception cref="OperationCanceledException">Asked to stop.</exception>
    public Dictionary<string, float[][]> Run(IReadOnlyList<OfflineImpression> train, IReadOnlyList<ScoredSet> sets, CancellationToken cancellation)
    {
        var (folds, rounds) = (teacher.Offline.Folds, teacher.Offline.Rounds);
        var records = train.Select(i => i.Record).ToList();
        List<ScoredSet> all = [new(Train, records), .. sets];
        var result = all.ToDictionary(s => s.Name, s => Zeros(s.Records.Sum(r => r.CandidateCount)));
        var outOfFold = result[OutOfFold] = Zeros(records.Sum(r => r.CandidateCount));
        for (var round = 0; round < rounds; round++)
        {
            var member = result[Member(round)] = Zeros(outOfFold[0].Length);
            var foldOf = train.Select(i => Fold(i.Group, round, folds)).ToArray();
            for (var fold = 0; fold < folds; fold++)
            {
                var number = round * folds + fold;
                using var network = new OfflineTeacher(schema, teacher, FeatureHash.Mix(seed + (ulong)number));
                network.Learn([.. records.Where((_, i) => foldOf[i] != fold)],
                    way => Progress((number + way) / (folds * rounds), $"network {number + 1} of {folds * rounds}"), cancellation);
                foreach (var set in all)
                {
                    var logits = network.Score(set.Records);
                    AddShare(logits, result[set.Name], 1f / (folds * rounds));
                    if (set.Name == Train)
                        TakeFold(logits, foldOf, fold, records, member);
                }
            }
            AddShare(member, outOfFold, 1f / rounds);
        }
        return result;
    }

    private int Fold(ulong group, int round, int folds) =>
        (int)(FeatureHash.Mix(group ^ FeatureHash.Mix(seed + 0x666F6C64UL + (ulong)round)) % (ulong)folds);

    private float[][] Zeros(int candidates) => [.. schema.Targets.Select(_ => new float[candidates])];

    private static void AddShare(float[][] logits, float[][] into, float share)
    {
        for (var t = 0; t < into.Length; t++)
        {
            for (var i = 0; i < into[t].Length; i++)
                into[t][i] += share * logits[t][i];
        }
    }

    private static void TakeFold(float[][] logits, int[] foldOf, int fold, List<TeacherRecord> records, float[][] into)
    {
        var start = 0;
        for (var r = 0; r < records.Count; start += records[r++].CandidateCount)
        {
            for (var t = 0; foldOf[r] == fold && t < into.Length; t++)
                logits[t].AsSpan(start, records[r].CandidateCount).CopyTo(into[t].AsSpan(start));
        }
    }
}
