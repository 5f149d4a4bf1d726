using System.Buffers;
using BenchmarkDotNet.Attributes;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Serving.Wire;

namespace KdServing.Benchmarks;

/// <summary>A request's bytes into what is scored, and a reply's scores into bytes: ours beside the generated code.</summary>
/// <remarks>Ours only finds the columns; their values are decoded while they are hashed, which <see cref="ScoringBenchmarks"/> holds.</remarks>
[MemoryDiagnoser]
public class WireBenchmarks
{
    private ReadOnlySequence<byte> request;
    private RankReply reply = null!;
    private byte[] written = null!;

    [Params(500, 1000)]
    public int Candidates { get; set; }

    [Params(true, false)]
    public bool Raw { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        using var student = new ReferenceStudent();
        request = new(student.Request(Candidates, Raw).ToByteArray());
        var scores = new TargetScores { Target = "click" };
        scores.Scores.AddRange(Enumerable.Repeat(0.5f, Candidates));
        reply = new() { RequestId = "r", Model = "m", Version = 1, Targets = { scores } };
        written = new byte[reply.CalculateSize()];
    }

    [Benchmark]
    public int ReadCall()
    {
        var call = RankCall.Read(request);
        var count = call.Header.CandidateCount;
        call.Return();
        return count;
    }

    [Benchmark(Baseline = true)]
    public int ReadGenerated() => RankRequest.Parser.ParseFrom(request).CandidateCount;

    [Benchmark]
    public void WriteGeneratedReply() => reply.WriteTo(written);
}
