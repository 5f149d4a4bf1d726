using System.Runtime.InteropServices;
using Google.Protobuf.Collections;
using KdServing.Contracts;

namespace KdServing.Distiller.Training;

/// <summary>
/// A batch of impressions, decoded: U users (one a record), N candidates (all records end to end), labels and soft labels.
/// </summary>
/// <remarks>
/// Filled record by record, read by any number of students, cleared and filled again; its buffers stay. One thread.
/// <code>
/// batch.Clear();
/// foreach (var record in records) batch.Add(record);
/// </code>
/// A sequence of records decoded in one order always gives the same arrays: nothing here depends on time or on threads.
/// </remarks>
public sealed class FeatureBatch
{
    private readonly FeatureSchema schema;
    private readonly IReadOnlyList<SoftLabelSource> sources;
    private readonly Column[] found;
    private readonly List<long> rowOf = [];
    private readonly List<int> starts = [0];
    private readonly List<byte> origins = [];
    private readonly List<float> logQ = [];
    private readonly List<byte>[] labels;
    private readonly List<float>[] softLabels;

    /// <param name="sources">Soft labels to decode; their order is that of <see cref="SoftLabels"/>.</param>
    /// <param name="withPrivileged">Decode the privileged group too (teachers).</param>
    public FeatureBatch(FeatureSchema schema, IReadOnlyList<SoftLabelSource> sources, bool withPrivileged = false)
    {
        this.schema = schema;
        this.sources = sources;
        User = new(schema.User);
        Item = new(schema.Item);
        Live = new(schema.Live);
        Privileged = withPrivileged ? new(schema.Privileged) : null;
        labels = [.. schema.Targets.Select(_ => new List<byte>())];
        softLabels = [.. sources.Select(_ => new List<float>())];
        found = new Column[Math.Max(schema.User.Features.Count,
            Math.Max(schema.Item.Features.Count + schema.Live.Features.Count, schema.Privileged.Features.Count))];
    }

    /// <summary>One row a record.</summary>
    public GroupRows User { get; }

    /// <summary>One row a candidate, static features.</summary>
    public GroupRows Item { get; }

    /// <summary>One row a candidate, live and cross features.</summary>
    public GroupRows Live { get; }

    /// <summary>One row a candidate; null unless asked for.</summary>
    public GroupRows? Privileged { get; }

    /// <summary>Records U.</summary>
    public int Records => starts.Count - 1;

    /// <summary>Candidates N of all records.</summary>
    public int Candidates => rowOf.Count;

    /// <summary>The record (= session = user row) of each candidate; [N], ascending.</summary>
    public ReadOnlySpan<long> RowOf => CollectionsMarshal.AsSpan(rowOf);

    /// <summary>Record u owns the candidates Starts[u] .. Starts[u + 1]; [U + 1].</summary>
    public ReadOnlySpan<int> Starts => CollectionsMarshal.AsSpan(starts);

    /// <summary>Candidates of every record when they all have as many; 0 otherwise.</summary>
    public int UniformCandidates { get; private set; }

    /// <summary><see cref="CandidateOrigin"/> of each candidate; [N].</summary>
    public ReadOnlySpan<byte> Origins => CollectionsMarshal.AsSpan(origins);

    /// <summary>Log of each candidate's sampling probability, 0 when exposed; [N].</summary>
    public ReadOnlySpan<float> LogQ => CollectionsMarshal.AsSpan(logQ);

    /// <summary><see cref="LabelState"/> of each candidate for a target; [N].</summary>
    public ReadOnlySpan<byte> Labels(int target) => CollectionsMarshal.AsSpan(labels[target]);

    /// <summary>Teacher's logits of the s-th source, NaN where that teacher did not score the record; [N].</summary>
    public ReadOnlySpan<float> SoftLabels(int s) => CollectionsMarshal.AsSpan(softLabels[s]);

    public void Clear()
    {
        User.Clear();
        Item.Clear();
        Live.Clear();
        Privileged?.Clear();
        rowOf.Clear();
        CollectionsMarshal.SetCount(starts, 1);
        origins.Clear();
        logQ.Clear();
        UniformCandidates = 0;
        foreach (var column in labels)
            column.Clear();
        foreach (var column in softLabels)
            column.Clear();
    }

    /// <summary>Appends a record that <see cref="TeacherRecordValidation"/> accepts.</summary>
    public void Add(TeacherRecord record)
    {
        var n = record.CandidateCount;
        AddFeatures(record.User, record.Item, record.Privileged, n);
        origins.AddRange(record.Origin.Span);
        AddRange(logQ, record.SamplingLogQ);
        for (var t = 0; t < labels.Length; t++)
        {
            if (record.Labels.FirstOrDefault(l => l.Target == schema.Targets[t]) is { } known)
                labels[t].AddRange(known.States.Span);
            else
                Fill(labels[t], (byte)LabelState.Unknown, n);
        }
        for (var s = 0; s < softLabels.Length; s++)
        {
            if (sources[s].Find(record) is { } logits)
                AddRange(softLabels[s], logits);
            else
                Fill(softLabels[s], float.NaN, n);
        }
    }

    /// <summary>Appends one user and its candidates without labels: ranking requests, or a teacher about to score.</summary>
    /// <exception cref="ContractException">A column does not fit the schema.</exception>
    public void AddFeatures(RepeatedField<Column> user, RepeatedField<Column> item, RepeatedField<Column> privileged, int candidates)
    {
        var columns = found.AsSpan(0, schema.User.Features.Count);
        ColumnReader.Match(user, "user", 1, [schema.User], columns);
        User.Append(columns, 1);

        columns = found.AsSpan(0, schema.Item.Features.Count + schema.Live.Features.Count);
        ColumnReader.Match(item, "item", candidates, [schema.Item, schema.Live], columns);
        Item.Append(columns[..schema.Item.Features.Count], candidates);
        Live.Append(columns[schema.Item.Features.Count..], candidates);

        if (Privileged is not null)
        {
            columns = found.AsSpan(0, schema.Privileged.Features.Count);
            ColumnReader.Match(privileged, "privileged", candidates, [schema.Privileged], columns);
            Privileged.Append(columns, candidates);
        }

        UniformCandidates = Records == 0 || UniformCandidates == candidates ? candidates : 0;
        Fill(rowOf, Records, candidates);
        starts.Add(Candidates);
    }

    private static void AddRange(List<float> list, IReadOnlyList<float> values)
    {
        for (var i = 0; i < values.Count; i++)
            list.Add(values[i]);
    }

    private static void Fill<T>(List<T> list, T value, int count)
    {
        var start = list.Count;
        CollectionsMarshal.SetCount(list, start + count);
        CollectionsMarshal.AsSpan(list)[start..].Fill(value);
    }
}
