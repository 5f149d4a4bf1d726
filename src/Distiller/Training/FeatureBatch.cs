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
    private readonly List<SoftLabelSource> sources;
    private readonly Column[] found;
    private readonly List<long> rowOf = [];
    private readonly List<int> starts = [0];
    private readonly List<byte> origins = [];
    private readonly List<float> logQ = [];
    private readonly List<byte>[] labels;
    private readonly List<float>[] softLabels;
    private readonly List<string?>[] teachers;
    private readonly List<long>[] teacherVersions;
    private readonly List<long> eventTimes = [];
    private readonly HiddenSource? hiddenSource;
    private readonly List<float> hidden = [];
    private readonly List<bool> hiddenKnown = [];
    private readonly List<bool> privilegedKnown = [];

    /// <param name="sources">Soft labels to decode; their order is that of <see cref="SoftLabels"/>.</param>
    /// <param name="withPrivileged">Decode the privileged group too (teachers).</param>
    /// <param name="hidden">Decode this teacher's hidden vectors too.</param>
    public FeatureBatch(FeatureSchema schema, IReadOnlyList<SoftLabelSource> sources, bool withPrivileged = false, HiddenSource? hidden = null)
    {
        hiddenSource = hidden;
        this.schema = schema;
        this.sources = [.. sources];
        User = new(schema.User);
        Item = new(schema.Item);
        Live = new(schema.Live);
        Privileged = withPrivileged ? new(schema.Privileged) : null;
        labels = [.. schema.Targets.Select(_ => new List<byte>())];
        softLabels = [.. sources.Select(_ => new List<float>())];
        teachers = [.. sources.Select(_ => new List<string?>())];
        teacherVersions = [.. sources.Select(_ => new List<long>())];
        found = new Column[Math.Max(schema.User.Features.Count,
            Math.Max(schema.Item.Features.Count + schema.Live.Features.Count, schema.Privileged.Features.Count))];
    }

    /// <summary>What <see cref="SoftLabels"/> come from.</summary>
    public IList<SoftLabelSource> Sources => sources.AsReadOnly();

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

    /// <summary>Name of the s-th source's teacher, null where none scored the record; [U].</summary>
    public ReadOnlySpan<string?> Teachers(int s) => CollectionsMarshal.AsSpan(teachers[s]);

    /// <summary>Version of the s-th source's teacher, 0 where it did not score the record; [U].</summary>
    public ReadOnlySpan<long> TeacherVersions(int s) => CollectionsMarshal.AsSpan(teacherVersions[s]);

    /// <summary>Event time of each record, milliseconds since the Unix epoch; [U].</summary>
    public ReadOnlySpan<long> EventTimes => CollectionsMarshal.AsSpan(eventTimes);

    /// <summary>The teacher's hidden vectors, zero where <see cref="HiddenKnown"/> is false; row-major [N, width]. Empty unless asked for.</summary>
    public ReadOnlySpan<float> Hidden => CollectionsMarshal.AsSpan(hidden);

    /// <summary>Whether the candidate came with a hidden vector of the width asked for; [N], empty unless asked for.</summary>
    public ReadOnlySpan<bool> HiddenKnown => CollectionsMarshal.AsSpan(hiddenKnown);

    /// <summary>Whether the candidate's record brought its privileged columns: a teacher may keep them to itself; [N], empty unless asked for.</summary>
    public ReadOnlySpan<bool> PrivilegedKnown => CollectionsMarshal.AsSpan(privilegedKnown);

    /// <summary>The part of <see cref="SoftLabels"/> that is one record's, to be replaced by what is to be learned from it.</summary>
    public Span<float> SoftLabelsOf(int s, int record) => CollectionsMarshal.AsSpan(softLabels[s])[Part(record)];

    /// <summary>The part of <see cref="Origins"/> that is one record's.</summary>
    public ReadOnlySpan<byte> OriginsOf(int record) => Origins[Part(record)];

    /// <summary>The part of <see cref="LogQ"/> that is one record's.</summary>
    public ReadOnlySpan<float> LogQOf(int record) => LogQ[Part(record)];

    /// <summary>The part of <see cref="Labels"/> that is one record's.</summary>
    public ReadOnlySpan<byte> LabelsOf(int target, int record) => Labels(target)[Part(record)];

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
        foreach (var column in teachers)
            column.Clear();
        foreach (var column in teacherVersions)
            column.Clear();
        eventTimes.Clear();
        hidden.Clear();
        hiddenKnown.Clear();
        privilegedKnown.Clear();
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
            var output = sources[s].Output(record);
            if (output is not null)
                AddRange(softLabels[s], output.Logits);
            else
                Fill(softLabels[s], float.NaN, n);
            teachers[s].Add(output?.Teacher);
            teacherVersions[s].Add(output?.TeacherVersion ?? 0);
        }
        eventTimes.Add(record.EventTimeMs);
        if (hiddenSource is not null)
            AddHidden(hiddenSource, record);
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
            AddPrivileged(Privileged, privileged, candidates);
        UniformCandidates = Records == 0 || UniformCandidates == candidates ? candidates : 0;
        Fill(rowOf, Records, candidates);
        starts.Add(Candidates);
    }

    private Range Part(int record) => starts[record]..starts[record + 1];

    private void AddPrivileged(GroupRows rows, RepeatedField<Column> privileged, int candidates)
    {
        var known = privileged.Count > 0 || rows.Group.Features.Count == 0;
        Fill(privilegedKnown, known, candidates);
        if (!known)
        {
            rows.AppendAbsent(candidates);
            return;
        }
        var columns = found.AsSpan(0, schema.Privileged.Features.Count);
        ColumnReader.Match(privileged, "privileged", candidates, [schema.Privileged], columns);
        rows.Append(columns, candidates);
    }

    private void AddHidden(HiddenSource source, TeacherRecord record)
    {
        var n = record.CandidateCount;
        var output = source.Of.Output(record);
        var known = output is not null && output.HiddenWidth == source.Width;
        Fill(hiddenKnown, known, n);
        if (known)
            AddRange(hidden, output!.Hidden);
        else
            Fill(hidden, 0, n * source.Width);
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
