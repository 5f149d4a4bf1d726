using System.Runtime.InteropServices;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.Distiller.Offline;

/// <summary>Adds candidates to impressions that were not in them: items of the training part, drawn half uniformly, half by how often they were positive.</summary>
/// <remarks>
/// They carry origin <c>sampled</c>, the log of their probability, and no label: what is learned of them is the teacher's opinion
/// (unexposed soft labels, kd-reference §6). A draw is a function of the seed and the impression alone.
/// </remarks>
public sealed class CandidateSampler
{
    private readonly List<Dictionary<string, object>> items = [];
    private readonly List<int> positives = [];
    private readonly float[] logQ;

    /// <param name="schema">Must have static item features only: what is live or of the pair can not be known of a pair that never was.</param>
    /// <exception cref="ContractException">The schema has other item features.</exception>
    public CandidateSampler(FeatureSchema schema, IEnumerable<TeacherRecord> records)
    {
        if (!CanExtend(schema))
            throw new ContractException("schema", $"has live, cross or privileged features ({string.Join(", ", schema.Live.Features.Concat(schema.Privileged.Features).Select(f => f.Name))}); unexposed candidates would need their values");
        var indices = new Dictionary<object, int>();
        foreach (var record in records)
        {
            var columns = record.Item.ToDictionary(c => c.Name, Values);
            var ids = columns[record.Item[0].Name];
            var states = record.Labels.FirstOrDefault(l => l.Target == schema.Targets[0])?.States;
            for (var i = 0; i < record.CandidateCount; i++)
            {
                if (!indices.TryGetValue(ids[i], out var index))
                {
                    indices.Add(ids[i], index = items.Count);
                    items.Add(columns.ToDictionary(c => c.Key, c => c.Value[i]));
                }
                if (states is not null && states[i] == (byte)LabelState.Positive)
                    positives.Add(index);
            }
        }
        var counts = new int[items.Count];
        foreach (var index in positives)
            counts[index]++;
        logQ = [.. counts.Select(c => (float)Math.Log(0.5 / items.Count + (positives.Count == 0 ? 0.5 / items.Count : 0.5 * c / positives.Count)))];
    }

    /// <summary>Distinct items.</summary>
    public int Items => items.Count;

    /// <summary>Whether new candidates of this schema can be made up.</summary>
    public static bool CanExtend(FeatureSchema schema) => schema.Live.Features.Count + schema.Privileged.Features.Count == 0
        && schema.Item.Features.All(f => f.Kind != FeatureKind.Sequence);

    /// <summary>The impression with <paramref name="count"/> more candidates at its end; soft labels of the new ones are NaN.</summary>
    public TeacherRecord Extend(TeacherRecord record, int count, ulong seed)
    {
        var drawn = new int[count];
        var state = FeatureHash.Mix(seed ^ (ulong)FeatureHash.StringId(record.RequestId));
        for (var i = 0; i < count; i++)
        {
            state = FeatureHash.Mix(state);
            drawn[i] = (state & 1) == 0 || positives.Count == 0
                ? Below(items.Count)
                : positives[Below(positives.Count)];
        }

        var extended = new TeacherRecord
        {
            RequestId = record.RequestId,
            EventTimeMs = record.EventTimeMs,
            ProducerId = record.ProducerId,
            Sequence = record.Sequence,
            SchemaFingerprint = record.SchemaFingerprint,
            CandidateCount = record.CandidateCount + count,
            User = { record.User },
            Origin = ByteString.CopyFrom([.. record.Origin.Span, .. Enumerable.Repeat((byte)CandidateOrigin.Sampled, count)]),
        };
        foreach (var column in record.Item)
            extended.Item.Add(Joined(column, drawn));
        extended.SamplingLogQ.AddRange(record.SamplingLogQ);
        extended.SamplingLogQ.AddRange(drawn.Select(d => logQ[d]));
        foreach (var labels in record.Labels)
            extended.Labels.Add(new TargetLabels { Target = labels.Target, States = ByteString.CopyFrom([.. labels.States.Span, .. new byte[count]]) });
        foreach (var output in record.Outputs)
        {
            var copy = new TeacherOutput { Teacher = output.Teacher, TeacherVersion = output.TeacherVersion, Target = output.Target, Logits = { output.Logits } };
            copy.Logits.AddRange(Enumerable.Repeat(float.NaN, count));
            extended.Outputs.Add(copy);
        }
        return extended;

        int Below(int bound) => (int)(((state >> 32) * (ulong)bound) >> 32);
    }

    private Column Joined(Column column, int[] drawn)
    {
        var added = drawn.Select(d => items[d][column.Name]);
        return column.ValuesCase switch
        {
            Column.ValuesOneofCase.Strings => Columns.OfTexts(column.Name, [.. column.Strings.Value, .. added.Cast<string>()]),
            Column.ValuesOneofCase.Floats or Column.ValuesOneofCase.RawFloat32 =>
                Columns.OfFloats(column.Name, [.. Values(column).Cast<float>(), .. added.Cast<float>()]),
            _ => Columns.OfInts(column.Name, [.. Values(column).Cast<long>(), .. added.Cast<long>()]),
        };
    }

    private static IReadOnlyList<object> Values(Column column) => column.ValuesCase switch
    {
        Column.ValuesOneofCase.Strings => [.. column.Strings.Value],
        Column.ValuesOneofCase.Floats => [.. column.Floats.Value.Cast<object>()],
        Column.ValuesOneofCase.RawFloat32 => [.. MemoryMarshal.Cast<byte, float>(column.RawFloat32.Span).ToArray().Cast<object>()],
        Column.ValuesOneofCase.RawInt64 => [.. MemoryMarshal.Cast<byte, long>(column.RawInt64.Span).ToArray().Cast<object>()],
        _ => [.. column.Ints.Value.Cast<object>()],
    };
}
