using System.Buffers;
using BenchmarkDotNet.Attributes;
using Google.Protobuf;
using KdServing.Serving.Models;
using KdServing.Serving.Wire;

namespace KdServing.Benchmarks;

/// <summary>Requests of several users scored by ONNX Runtime, one after another and in one run; decoding not counted.</summary>
[MemoryDiagnoser]
public class BatchBenchmarks
{
    private ReferenceStudent student = null!;
    private ScoringRun[] runs = null!;

    [Params(20, 100, 500)]
    public int Candidates { get; set; }

    [Params(2, 4, 16)]
    public int Requests { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        student = new();
        student.Servable.Engine = ScoringEngine.OnnxRuntime;
        runs = [.. Enumerable.Range(0, Requests).Select(i =>
        {
            var run = student.Servable.Rent();
            student.Servable.Decode(RankCall.Read(new ReadOnlySequence<byte>(student.Request(Candidates, raw: true, seed: i).ToByteArray())), run);
            return run;
        })];
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        foreach (var run in runs)
            student.Servable.Return(run);
        student.Dispose();
    }

    [Benchmark(Baseline = true)]
    public void Alone()
    {
        foreach (var run in runs)
            student.Servable.Score(run, CallBudget.Unlimited);
    }

    [Benchmark]
    public void Together() => student.Servable.ScoreTogether(runs);

    /// <summary>Together, when the batch before had another size: tensors are bound anew.</summary>
    [Benchmark]
    public void TogetherOfOtherSize()
    {
        student.Servable.ScoreTogether(runs.AsSpan(1));
        student.Servable.ScoreTogether(runs);
    }
}
