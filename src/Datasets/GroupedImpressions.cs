using System.Text;
using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Datasets;

/// <summary>Groups rows with explicit labels into impressions by the values of some columns.</summary>
/// <remarks>
/// Event order: with `time`, an impression's time is its last row's; without, impressions are numbered in the order in
/// which they are complete and spaced evenly. Memory: the rows of the impressions still open.
/// </remarks>
public sealed class GroupedImpressions(DatasetDescription dataset)
{
    private readonly GroupingDescription _grouping = dataset.Impressions!;
    private readonly (ColumnType Type, int Position)[] _groupBy = [.. dataset.Impressions!.GroupBy.Select(c => Locate(dataset, c))];
    private readonly (string Feature, ColumnType Type, int Position)[] _user = Sources(dataset, dataset.User);
    private readonly (string Feature, ColumnType Type, int Position)[] _item = Sources(dataset, dataset.Item);
    private readonly (LabelDescription Label, ColumnType Type, int Position)[] _labels =
        [.. dataset.Labels.Select(l => (l, Locate(dataset, l.Column).Type, Locate(dataset, l.Column).Position))];

    private readonly (SoftLabelDescription Label, int Position)[] _softLabels =
        [.. dataset.SoftLabels.Select(l => (l, Locate(dataset, l.Column).Position))];

    private readonly int _timePosition = dataset.Time is null ? -1 : Locate(dataset, dataset.Time.Column).Position;

    /// <summary>Impressions of the rows of one part, lazily; an impression is yielded once it is complete.</summary>
    public IEnumerable<Impression> Group(IEnumerable<CsvRow> rows, DatasetPart part)
    {
        var open = new Dictionary<string, OpenGroup>();
        var byAge = new Queue<OpenGroup>();
        var clock = new Clock(_grouping);
        long rowNumber = 0;
        foreach (var row in rows)
        {
            rowNumber++;
            var key = Key(row);
            var timeMs = _timePosition < 0 ? 0 : dataset.Time!.ToMs(row.Ints[_timePosition]);
            while (byAge.TryPeek(out var oldest) && (oldest.Closed || oldest.FirstRow <= rowNumber - _grouping.WindowRows || IsOver(oldest, timeMs)))
            {
                byAge.Dequeue();
                if (oldest.Closed)
                    continue;
                open.Remove(oldest.Key);
                yield return Close(oldest, part, clock);
            }

            if (open.TryGetValue(key, out var group) && IsOver(group, timeMs))
            {
                open.Remove(key);
                yield return Close(group, part, clock);
                group = null;
            }

            if (group is null)
            {
                group = new OpenGroup(key, rowNumber);
                open.Add(key, group);
                byAge.Enqueue(group);
            }

            group.Rows.Add(row.Copy());
            group.LastMs = timeMs;
            if (group.Rows.Count == _grouping.MaxSize)
            {
                open.Remove(key);
                yield return Close(group, part, clock);
            }
        }

        foreach (var group in byAge)
        {
            if (!group.Closed)
                yield return Close(group, part, clock);
        }
    }

    private bool IsOver(OpenGroup group, long nowMs) => _timePosition >= 0 && nowMs - group.LastMs > _grouping.GapSeconds * 1000L;

    private string Key(CsvRow row)
    {
        var key = new StringBuilder();
        foreach (var (type, position) in _groupBy)
        {
            key.Append('\u001f');
            _ = type switch
            {
                ColumnType.Int64 => key.Append(row.Ints[position]),
                ColumnType.Float => key.Append(row.Floats[position]),
                _ => key.Append(row.Texts[position]),
            };
        }

        return key.ToString();
    }

    private Impression Close(OpenGroup group, DatasetPart part, Clock clock)
    {
        group.Closed = true;
        var rows = group.Rows;
        var number = clock.Tick(_timePosition < 0 ? null : group.LastMs);
        return new Impression
        {
            RequestId = $"{dataset.Name}-{part}-{number}",
            EventTimeMs = clock.NowMs,
            SessionId = StableHash(group.Key),
            Part = part,
            CandidateCount = rows.Count,
            User = [.. _user.Select(u => Columns.OfRow(u.Feature, u.Type, u.Position, rows[^1]))],
            Item = [.. _item.Select(i => Columns.OfRows(i.Feature, i.Type, i.Position, rows))],
            Privileged = [],
            Origin = ByteString.CopyFrom([.. rows.Select(_ => (byte)CandidateOrigin.Exposed)]),
            SamplingLogQ = new float[rows.Count],
            Labels = [.. _labels.Select(l => Labels(l.Label, l.Type, l.Position, rows))],
            Outputs = [.. _softLabels.Select(l => SoftLabels(l.Label, l.Position, rows))],
        };
    }

    private static TargetLabels Labels(LabelDescription label, ColumnType type, int position, List<CsvRow> rows)
    {
        var states = new byte[rows.Count];
        for (var r = 0; r < states.Length; r++)
        {
            var value = type == ColumnType.Int64 ? rows[r].Ints[position] : rows[r].Floats[position];
            states[r] = (byte)(value >= label.PositiveFrom ? LabelState.Positive : LabelState.Negative);
        }

        return new TargetLabels { Target = label.Target, States = ByteString.CopyFrom(states) };
    }

    private static TeacherOutput SoftLabels(SoftLabelDescription label, int position, List<CsvRow> rows)
    {
        // A probability of exactly 0 or 1 is taken for what a float32 next to it would be.
        const double Closest = 1e-7;
        var output = new TeacherOutput { Teacher = label.Teacher, TeacherVersion = 1, Target = label.Target };
        foreach (var row in rows)
        {
            var value = row.Floats[position];
            if (!label.IsLogit && value is < 0 or > 1)
                throw new DatasetException($"Column '{label.Column}' holds {value}, which is no probability; set `is_logit` of soft label '{label.Teacher}/{label.Target}' to true if it holds logits.");
            var p = Math.Clamp((double)value, Closest, 1 - Closest);
            output.Logits.Add(label.IsLogit ? value : (float)Math.Log(p / (1 - p)));
        }

        return output;
    }

    private static (ColumnType Type, int Position) Locate(DatasetDescription dataset, string column)
    {
        var position = dataset.Columns.Select((c, i) => (c, i)).First(x => x.c.Name == column).i;
        return (dataset.Columns[position].Type, position);
    }

    private static (string Feature, ColumnType Type, int Position)[] Sources(DatasetDescription dataset, IReadOnlyList<FeatureSource> sources) =>
        [.. sources.Select(s => (s.Feature, Locate(dataset, s.Column).Type, Locate(dataset, s.Column).Position))];

    // string.GetHashCode differs from run to run.
    private static long StableHash(string key)
    {
        var hash = 0UL;
        foreach (var c in key)
            hash = SplitMix64.Mix(hash ^ c);
        return (long)(hash >> 1);
    }

    private sealed class OpenGroup(string key, long firstRow)
    {
        public string Key { get; } = key;

        public long FirstRow { get; } = firstRow;

        public List<CsvRow> Rows { get; } = [];

        public long LastMs { get; set; }

        public bool Closed { get; set; }
    }

    private sealed class Clock(GroupingDescription grouping)
    {
        private long _number;

        public long NowMs { get; private set; }

        public long Tick(long? timeMs)
        {
            NowMs = timeMs is null ? grouping.StartMs + (_number * grouping.StepMs) : Math.Max(NowMs, timeMs.Value);
            return ++_number;
        }
    }
}
