using Google.Protobuf;

namespace KdServing.Contracts.Tests.Streams;

public sealed class TeacherRecordValidationTests
{
    public static TheoryData<string, string, Action<TeacherRecord>> Broken => new()
    {
        { "request_id", "1 to 128", r => r.RequestId = "" },
        { "request_id", "1 to 128", r => r.RequestId = new string('x', 129) },
        { "event_time_ms", "positive", r => r.EventTimeMs = 0 },
        { "event_time_ms", "year 10000", r => r.EventTimeMs = long.MaxValue },
        { "producer_id", "1 to 128", r => r.ProducerId = "" },
        { "sequence", "from 1", r => r.Sequence = 0 },
        { "sequence", "from 1", r => r.Sequence = ulong.MaxValue },
        { "schema_fingerprint", "same schema.json", r => r.SchemaFingerprint ^= 1 },
        { "candidate_count", "1 to 10000", r => r.CandidateCount = 0 },
        { "candidate_count", "1 to 10000", r => r.CandidateCount = -1 },
        { "candidate_count", "1 to 10000", r => r.CandidateCount = 10_001 },
        { "user", "'user_id' is missing", r => r.User.Clear() },
        { "item[0]", "expected 4", r => r.CandidateCount = 4 },
        { "item.popularity", "not finite", r => r.Item[1].Floats.Value[2] = float.NaN },
        { "item.popularity", "not finite", r => r.Item[1].RawFloat32 = Raw(1, 2, float.PositiveInfinity) },
        { "item.popularity", "too large", r => r.Item[1].Floats.Value[2] = 3e38f },
        { "item.popularity", "too large", r => r.Item[1].RawFloat32 = Raw(1, 2, -2e6f) },
        { "privileged[0].name", "unknown feature 'popularity'", r => r.Privileged[0].Name = "popularity" },
        { "origin", "2 bytes for 3", r => r.Origin = ByteString.CopyFrom(1, 2) },
        { "origin[1]", "exposed", r => r.Origin = ByteString.CopyFrom(1, 0, 3) },
        { "origin[2]", "probe", r => r.Origin = ByteString.CopyFrom(1, 2, 4) },
        { "sampling_log_q", "2 values for 3", r => r.SamplingLogQ.RemoveAt(0) },
        { "sampling_log_q[0]", "0 when exposed", r => r.SamplingLogQ[0] = -1 },
        { "sampling_log_q[1]", "log of a probability", r => r.SamplingLogQ[1] = 0.5f },
        { "sampling_log_q[1]", "log of a probability", r => r.SamplingLogQ[1] = float.NegativeInfinity },
        { "outputs", "at least one teacher", r => r.Outputs.Clear() },
        { "outputs[0].teacher", "1 to 64", r => r.Outputs[0].Teacher = "" },
        { "outputs[0].target", "click, read", r => r.Outputs[0].Target = "buy" },
        { "outputs[1]", "second time", r => r.Outputs.Add(r.Outputs[0].Clone()) },
        { "outputs[0].logits", "2 values for 3", r => r.Outputs[0].Logits.RemoveAt(0) },
        { "outputs[0].logits", "not finite", r => r.Outputs[0].Logits[1] = float.NaN },
        { "outputs[0].logits", "too large", r => r.Outputs[0].Logits[1] = -3e38f },
        { "outputs[0].hidden", "2 values for 3 candidates of width 1", r => { r.Outputs[0].HiddenWidth = 1; r.Outputs[0].Hidden.Add([1, 2]); } },
        { "outputs[0].hidden", "width -1", r => r.Outputs[0].HiddenWidth = -1 },
        { "outputs[0].hidden", "not finite", r => { r.Outputs[0].HiddenWidth = 1; r.Outputs[0].Hidden.Add([1, float.NaN, 2]); } },
        { "labels[0].target", "unknown or named twice", r => r.Labels[0].Target = "buy" },
        { "labels[1].target", "unknown or named twice", r => r.Labels.Add(r.Labels[0].Clone()) },
        { "labels[0].states", "2 bytes for 3", r => r.Labels[0].States = ByteString.CopyFrom(1, 2) },
        { "labels[0].states", "holds 3", r => r.Labels[0].States = ByteString.CopyFrom(1, 2, 3) },
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public void A_broken_rule_names_its_field(string field, string reason, Action<TeacherRecord> damage)
    {
        var record = SampleRecord.Make();
        damage(record);

        var fault = Assert.Throws<ContractException>(() => TeacherRecordValidation.Require(record, SampleRecord.Schema));

        Assert.Equal(field, fault.Field);
        Assert.Contains(reason, fault.Reason);
    }

    [Fact]
    public void What_may_be_left_out_may_be_left_out()
    {
        var record = SampleRecord.Make();
        TeacherRecordValidation.Require(record, SampleRecord.Schema);
        record.Privileged.Clear();
        record.Labels.Clear();
        TeacherRecordValidation.Require(record, SampleRecord.Schema);
        record.Outputs.Add(new TeacherOutput { Teacher = "cascade", Target = "read", Logits = { 1, 2, 3 }, HiddenWidth = 2, Hidden = { 1, 2, 3, 4, 5, 6 } });
        TeacherRecordValidation.Require(record, SampleRecord.Schema);
        Assert.Equal(2, record.Outputs.Count);
    }

    private static ByteString Raw(params float[] values) =>
        ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(values));
}
