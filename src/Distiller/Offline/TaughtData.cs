using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Teachers;

namespace KdServing.Distiller.Offline;

/// <summary>A dataset with its teacher's opinion of everything: what students learn from, and what they are compared with.</summary>
public sealed class TaughtData
{
    /// <summary>Name of the cross-fitted teacher in <c>soft_label_name</c>: <c>teacher/TARGET</c>; <c>teacher_logits</c> means it too.</summary>
    public const string TeacherName = "teacher";

    private const string InnerSet = "inner";
    private const string ValidSet = "valid";
    private const string ProbeSet = "probe";

    private TaughtData(IReadOnlyList<TeacherRecord> train, IReadOnlyList<IReadOnlyList<TeacherRecord>> extended) => (Train, Extended) = (train, extended);

    /// <summary>With soft labels.</summary>
    public IReadOnlyList<TeacherRecord> Train { get; }

    /// <summary>The same with unexposed candidates, a list a draw; empty when there are none.</summary>
    public IReadOnlyList<IReadOnlyList<TeacherRecord>> Extended { get; }

    public required IReadOnlyList<TeacherRecord> Inner { get; init; }

    public required IReadOnlyList<TeacherRecord> Valid { get; init; }

    /// <summary>Lists whose order is compared with the teacher's.</summary>
    public required IReadOnlyList<TeacherRecord> Probes { get; init; }

    /// <summary>The teacher's logits of <see cref="Inner"/>, <see cref="Valid"/> and <see cref="Probes"/>, first target; empty without a teacher.</summary>
    public required (float[] Inner, float[] Valid, float[] Probes) Teacher { get; init; }

    /// <summary>Changes when the data, the teacher or what it was asked changes.</summary>
    public required string Key { get; init; }

    /// <summary>Names of the teachers of the training records.</summary>
    public IReadOnlyList<string> Teachers => [.. Train.SelectMany(r => r.Outputs).Select(o => o.Teacher).Distinct()];

    /// <summary>Takes soft labels from the data's own columns if it has any, else cross-fits a teacher, or finds it in the cache.</summary>
    /// <param name="teacher">Null: no teacher; only soft labels of the data's own.</param>
    /// <param name="cacheFolder">Of cross-fitted logits.</param>
    /// <param name="progress">Share done and what is being done.</param>
    /// <exception cref="OperationCanceledException">Asked to stop.</exception>
    public static TaughtData Make(OfflineData data, FeatureSchema schema, TeacherConfig? teacher, OfflineConfig config, ulong seed,
        string cacheFolder, Action<double, string> progress, CancellationToken cancellation)
    {
        var train = data.Train.Select(i => i.Record).ToList();
        var inner = data.Inner.Select(i => i.Record).ToList();
        var valid = data.Valid.Select(i => i.Record).ToList();
        if (teacher is null || train.Any(r => r.Outputs.Count > 0))
            return OfColumns(data.Name, train, inner, valid, schema);

        var sampler = CandidateSampler.CanExtend(schema) ? new CandidateSampler(schema, train) : null;
        List<List<TeacherRecord>> extended = [];
        for (var draw = 0; sampler is not null && config.Unexposed > 0 && draw < config.UnexposedDraws; draw++)
            extended.Add([.. train.Select(r => sampler.Extend(r, (int)Math.Ceiling(config.Unexposed * r.CandidateCount), seed + (ulong)draw))]);
        var probes = MakeProbes(valid, sampler, config, seed);

        List<ScoredSet> sets = [new(InnerSet, inner), new(ValidSet, valid), new(ProbeSet, probes), .. extended.Select((e, draw) => new ScoredSet(Drawn(draw), e))];
        var cache = new ScoreCache(cacheFolder, data.Name,
            [OfflineTeacher.SchemaOf(schema, teacher).Fingerprint.ToString(System.Globalization.CultureInfo.InvariantCulture), JsonSerializer.Serialize(teacher.Offline, ContractJson.Options),
                JsonSerializer.Serialize(teacher.HardLabel, ContractJson.Options), FormattableString.Invariant($"{seed} {teacher.InitialLogit} {config.Unexposed} {config.UnexposedDraws} {config.Probes} {config.ProbeCandidates}")],
            train.Concat(inner).Concat(valid).Concat(probes));
        if (cache.TryLoad(schema.Targets.Count) is not { } logits)
        {
            logits = new CrossFit(schema, teacher, seed) { Progress = progress }.Run(data.Train, sets, cancellation);
            cache.Save(logits);
        }
        var soft = logits[config.SoftLabels == OfflineSoftLabels.Mean ? CrossFit.Train : CrossFit.OutOfFold];
        Add(train, TeacherName, schema, soft);
        for (var draw = 0; draw < extended.Count; draw++)
            Add(extended[draw], TeacherName, schema, WithExposed(logits[Drawn(draw)], soft, extended[draw], train));
        for (var round = 0; teacher.Offline.Rounds > 1 && round < teacher.Offline.Rounds; round++)
            Add(train, CrossFit.Member(round), schema, logits[CrossFit.Member(round)]);
        return new(train, extended)
        {
            Key = $"{cache.Key} {config.SoftLabels}",
            Inner = inner,
            Valid = valid,
            Probes = probes,
            Teacher = (logits[InnerSet][0], logits[ValidSet][0], logits[ProbeSet][0]),
        };
    }

    private static string Drawn(int draw) => $"unexposed_{draw}";

    private static TaughtData OfColumns(string name, List<TeacherRecord> train, List<TeacherRecord> inner, List<TeacherRecord> valid, FeatureSchema schema)
    {
        var key = new ScoreCache("", name, [schema.Json], train.Concat(inner).Concat(valid)).Key;
        return new(train, []) { Key = key, Inner = inner, Valid = valid, Probes = [], Teacher = (Logits(inner), Logits(valid), []) };

        float[] Logits(List<TeacherRecord> records)
        {
            var outputs = records.Select(r => r.Outputs.FirstOrDefault(o => o.Target == schema.Targets[0])).ToList();
            return outputs.Any(o => o is null || o.Logits.Any(float.IsNaN)) ? [] : [.. outputs.SelectMany(o => o!.Logits)];
        }
    }

    // Lists of the data itself where they are long enough; filled up where items can be drawn.
    private static List<TeacherRecord> MakeProbes(List<TeacherRecord> valid, CandidateSampler? sampler, OfflineConfig config, ulong seed)
    {
        var stride = Math.Max(1, valid.Count / Math.Max(1, config.Probes));
        return [.. valid.Where((_, i) => i % stride == 0).Take(config.Probes)
            .Select(r => sampler is null ? r : sampler.Extend(r, Math.Max(0, config.ProbeCandidates - r.CandidateCount), seed ^ 0x70726F6265))];
    }

    internal static void Add(IReadOnlyList<TeacherRecord> records, string teacher, FeatureSchema schema, float[][] logits)
    {
        for (var t = 0; t < logits.Length; t++)
        {
            var start = 0;
            foreach (var record in records)
            {
                var output = new TeacherOutput { Teacher = teacher, TeacherVersion = 1, Target = schema.Targets[t] };
                output.Logits.AddRange(logits[t].AsSpan(start, record.CandidateCount).ToArray());
                record.Outputs.Add(output);
                start += record.CandidateCount;
            }
        }
    }

    // The exposed candidates of an extended record keep the soft labels that they have without the extension.
    private static float[][] WithExposed(float[][] logits, float[][] exposed, List<TeacherRecord> extended, List<TeacherRecord> train)
    {
        var joined = logits.Select(l => l.ToArray()).ToArray();
        for (var t = 0; t < joined.Length; t++)
        {
            var (from, into) = (0, 0);
            for (var r = 0; r < train.Count; r++)
            {
                exposed[t].AsSpan(from, train[r].CandidateCount).CopyTo(joined[t].AsSpan(into));
                from += train[r].CandidateCount;
                into += extended[r].CandidateCount;
            }
        }
        return joined;
    }
}
