namespace KdServing.Contracts;

/// <summary>What makes a <see cref="TeacherRecord"/> acceptable; the same check before it is written and after it is read.</summary>
public static class TeacherRecordValidation
{
    public const int MaxCandidates = 10_000;
    public const int MaxRequestIdLength = 128;

    /// <summary>
    /// Largest magnitude of a normalised feature, a logit or a hidden value. Beyond it a square overflows or drowns what an
    /// optimiser has gathered: one such record would spoil the student for all later ones.
    /// </summary>
    public const float MaxMagnitude = 1e6f;

    // The last a calendar date can be made of; and what a double counts exactly.
    internal const long MaxEventTimeMs = 253_402_300_799_999;
    internal const ulong MaxSequence = 1UL << 53;

    /// <summary>Checks identity, shapes and values. Columns are checked against the schema, numbers for being finite.</summary>
    /// <exception cref="ContractException">Names the field and the reason.</exception>
    public static void Require(TeacherRecord record, FeatureSchema schema)
    {
        if (record.RequestId.Length is 0 or > MaxRequestIdLength)
            throw new ContractException("request_id", $"must have 1 to {MaxRequestIdLength} characters");
        if (record.EventTimeMs is <= 0 or > MaxEventTimeMs)
            throw new ContractException("event_time_ms", "must be positive milliseconds since the Unix epoch, before the year 10000");
        if (record.ProducerId.Length is 0 or > MaxRequestIdLength)
            throw new ContractException("producer_id", $"must have 1 to {MaxRequestIdLength} characters");
        if (record.Sequence is 0 or > MaxSequence)
            throw new ContractException("sequence", "must count from 1, record by record");
        if (record.SchemaFingerprint != schema.Fingerprint)
        {
            throw new ContractException("schema_fingerprint",
                $"{record.SchemaFingerprint:x16} is not that of schema '{schema.Name}' ({schema.Fingerprint:x16}); use the same schema.json on both sides");
        }
        var n = record.CandidateCount;
        if (n is < 1 or > MaxCandidates)
            throw new ContractException("candidate_count", $"is {n}; must be 1 to {MaxCandidates}");

        RequireColumns(record, schema, n);
        RequireCandidates(record, n);
        RequireOutputs(record, schema, n);
        RequireLabels(record.Labels, schema, n);
    }

    private static void RequireColumns(TeacherRecord record, FeatureSchema schema, int n)
    {
        var found = new Column[Math.Max(schema.User.Features.Count,
            Math.Max(schema.Item.Features.Count + schema.Live.Features.Count, schema.Privileged.Features.Count))];
        Check(record.User, "user", 1, [schema.User]);
        Check(record.Item, "item", n, [schema.Item, schema.Live]);
        // A teacher may keep its own features to itself; what it sends must be whole.
        if (record.Privileged.Count > 0)
            Check(record.Privileged, "privileged", n, [schema.Privileged]);

        void Check(IReadOnlyList<Column> columns, string field, int rows, FeatureGroup[] groups)
        {
            var count = groups.Sum(g => g.Features.Count);
            ColumnReader.Match(columns, field, rows, groups, found.AsSpan(0, count));
            var k = 0;
            foreach (var feature in groups.SelectMany(g => g.Features))
            {
                var column = found[k++];
                if (feature.Kind == FeatureKind.Numeric)
                    RequireNumbers(feature, column, $"{field}.{feature.Name}");
            }
        }
    }

    private static void RequireNumbers(Feature feature, Column column, string field)
    {
        var raw = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(column.RawFloat32.Span);
        for (var r = 0; r < raw.Length; r++)
            Require(raw[r], feature.Normalise(raw[r]), field, r);
        if (column.ValuesCase != Column.ValuesOneofCase.Floats)
            return;
        for (var r = 0; r < column.Floats.Value.Count; r++)
            Require(column.Floats.Value[r], feature.Normalise(column.Floats.Value[r]), field, r);
    }

    private static void RequireNumbers(IReadOnlyList<float> values, string field)
    {
        for (var r = 0; r < values.Count; r++)
            Require(values[r], values[r], field, r);
    }

    private static void Require(float value, float used, string field, int row)
    {
        if (!float.IsFinite(value))
            throw new ContractException(field, $"value {value} of row {row} is not finite");
        if (!(MathF.Abs(used) <= MaxMagnitude))
            throw new ContractException(field, $"value {value} of row {row} is too large to learn from{(used == value ? "" : $" ({used} when normalised)")}; at most {MaxMagnitude:0} either way, transform or standardise it");
    }

    private static void RequireCandidates(TeacherRecord record, int n)
    {
        if (record.Origin.Length != n)
            throw new ContractException("origin", $"has {record.Origin.Length} bytes for {n} candidates");
        if (record.SamplingLogQ.Count != n)
            throw new ContractException("sampling_log_q", $"has {record.SamplingLogQ.Count} values for {n} candidates");
        var origins = record.Origin.Span;
        for (var i = 0; i < n; i++)
        {
            var origin = (CandidateOrigin)origins[i];
            if (origin is not (CandidateOrigin.Exposed or CandidateOrigin.Sampled or CandidateOrigin.Probe))
                throw new ContractException($"origin[{i}]", $"is {origins[i]}; must be 1 (exposed), 2 (sampled) or 3 (probe)");
            var logQ = record.SamplingLogQ[i];
            if (!float.IsFinite(logQ) || logQ > 0 || (origin == CandidateOrigin.Exposed && logQ != 0))
                throw new ContractException($"sampling_log_q[{i}]", $"is {logQ}; must be the log of a probability, and 0 when exposed");
        }
    }

    private static void RequireOutputs(TeacherRecord record, FeatureSchema schema, int n)
    {
        if (record.Outputs.Count == 0)
            throw new ContractException("outputs", "must hold the logits of at least one teacher");
        var seen = new HashSet<(string, string)>();
        for (var o = 0; o < record.Outputs.Count; o++)
        {
            var output = record.Outputs[o];
            if (output.Teacher.Length is 0 or > 64)
                throw new ContractException($"outputs[{o}].teacher", "must have 1 to 64 characters");
            if (!schema.Targets.Contains(output.Target))
                throw new ContractException($"outputs[{o}].target", $"is unknown; targets: {string.Join(", ", schema.Targets)}");
            if (!seen.Add((output.Teacher, output.Target)))
                throw new ContractException($"outputs[{o}]", "names a teacher and target a second time");
            if (output.Logits.Count != n)
                throw new ContractException($"outputs[{o}].logits", $"has {output.Logits.Count} values for {n} candidates");
            RequireNumbers(output.Logits, $"outputs[{o}].logits");
            if (output.HiddenWidth < 0 || output.Hidden.Count != (long)n * output.HiddenWidth)
                throw new ContractException($"outputs[{o}].hidden", $"has {output.Hidden.Count} values for {n} candidates of width {output.HiddenWidth}");
            RequireNumbers(output.Hidden, $"outputs[{o}].hidden");
        }
    }

    /// <param name="n">Candidates; 0: not known, any number will do.</param>
    internal static void RequireLabels(IReadOnlyList<TargetLabels> all, FeatureSchema schema, int n)
    {
        var seen = new HashSet<string>();
        for (var t = 0; t < all.Count; t++)
        {
            var labels = all[t];
            if (!schema.Targets.Contains(labels.Target) || !seen.Add(labels.Target))
                throw new ContractException($"labels[{t}].target", $"is unknown or named twice; targets: {string.Join(", ", schema.Targets)}");
            if (n > 0 && labels.States.Length != n)
                throw new ContractException($"labels[{t}].states", $"has {labels.States.Length} bytes for {n} candidates");
            foreach (var state in labels.States.Span)
            {
                if (state > (byte)LabelState.Negative)
                    throw new ContractException($"labels[{t}].states", $"holds {state}; must be 0 (unknown), 1 (positive) or 2 (negative)");
            }
        }
    }
}
