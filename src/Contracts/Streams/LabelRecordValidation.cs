namespace KdServing.Contracts;

/// <summary>What makes a <see cref="LabelRecord"/> acceptable; the same check before it is written and after it is read.</summary>
public static class LabelRecordValidation
{
    /// <summary>Checks identity and values. How many candidates there are is known only when the record it belongs to is found.</summary>
    /// <exception cref="ContractException">Names the field and the reason.</exception>
    public static void Require(LabelRecord record, FeatureSchema schema)
    {
        if (record.RequestId.Length is 0 or > TeacherRecordValidation.MaxRequestIdLength)
            throw new ContractException("request_id", $"must have 1 to {TeacherRecordValidation.MaxRequestIdLength} characters");
        if (record.EventTimeMs is <= 0 or > TeacherRecordValidation.MaxEventTimeMs)
            throw new ContractException("event_time_ms", "must be positive milliseconds since the Unix epoch, before the year 10000");
        if (record.ProducerId.Length is 0 or > TeacherRecordValidation.MaxRequestIdLength)
            throw new ContractException("producer_id", $"must have 1 to {TeacherRecordValidation.MaxRequestIdLength} characters");
        if (record.Sequence is 0 or > TeacherRecordValidation.MaxSequence)
            throw new ContractException("sequence", "must count from 1, record by record");
        if (record.Labels.Count == 0)
            throw new ContractException("labels", "must hold the labels of at least one target");
        TeacherRecordValidation.RequireLabels(record.Labels, schema, 0);
        for (var t = 0; t < record.Labels.Count; t++)
        {
            if (record.Labels[t].States.Length is 0 or > TeacherRecordValidation.MaxCandidates)
                throw new ContractException($"labels[{t}].states", $"must hold 1 to {TeacherRecordValidation.MaxCandidates} bytes, one a candidate");
        }
    }
}
