using BenchmarkDotNet.Attributes;
using KdServing.Contracts;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;

namespace KdServing.Benchmarks;

/// <summary>A request's steps inside the server: columns to matrices, the whole score, the selection.</summary>
[MemoryDiagnoser]
public class ScoringBenchmarks
{
    private readonly int[] best = new int[100];
    private ReferenceStudent student = null!;
    private FeatureAssembler assembler = null!;
    private ScoringRun run = null!;
    private RankRequest request = null!;
    private Column[] found = null!;
    private float[] item = null!;
    private float[] logits = null!;

    [Params(500, 1000)]
    public int Candidates { get; set; }

    [Params(true, false)]
    public bool Raw { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        student = new();
        request = student.Request(Candidates, Raw);
        run = student.Servable.Rent();
        assembler = new(student.Schema, student.Servable.Tables);
        found = new Column[student.Schema.Item.Features.Count];
        item = new float[Candidates * student.Schema.Item.Width];
        student.Servable.Score(request, run, CallBudget.Unlimited);
        logits = run.Logits.ToArray();
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        student.Servable.Return(run);
        student.Dispose();
    }

    [Benchmark]
    public void Assemble()
    {
        ColumnReader.Match(request.Item, "item", Candidates, [student.Schema.Item], found);
        assembler.AssembleItems(found, Candidates, item, []);
    }

    [Benchmark]
    public void Score() => student.Servable.Score(request, run, CallBudget.Unlimited);

    [Benchmark]
    public void Top100() => TopK.Select(logits, best);
}
