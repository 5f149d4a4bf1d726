using BenchmarkDotNet.Attributes;
using Google.Protobuf;
using KdServing.Benchmarks.Training;
using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Benchmarks;

/// <summary>A teacher's record as it comes from the stream: parsed, validated, and decoded into the batch that is trained on.</summary>
[MemoryDiagnoser]
public class StreamBenchmarks
{
    private byte[] bytes = null!;
    private TeacherRecord record = null!;
    private FeatureSchema schema = null!;
    private FeatureBatch batch = null!;

    [GlobalSetup]
    public void SetUp()
    {
        var workload = new TrainingWorkload(Checkout.Sample("globo"), vocabulary: 100_000, seed: 1);
        schema = workload.Schema;
        record = workload.Record();
        (record.RequestId, record.ProducerId, record.Sequence, record.EventTimeMs) = ("bench", "bench", 1, 1_700_000_000_000);
        record.SchemaFingerprint = schema.Fingerprint;
        bytes = record.ToByteArray();
        batch = workload.NewBatch();
    }

    [Benchmark]
    public int Parse() => TeacherRecord.Parser.ParseFrom(bytes).CandidateCount;

    [Benchmark]
    public void Validate() => TeacherRecordValidation.Require(record, schema);

    [Benchmark]
    public int Decode()
    {
        batch.Clear();
        batch.Add(record);
        return batch.Candidates;
    }
}
