using BenchmarkDotNet.Attributes;
using KdServing.Serving.Ranking;

namespace KdServing.Benchmarks;

/// <summary>The best K of N logits, best first, beside a full sort.</summary>
[MemoryDiagnoser]
public class TopKBenchmarks
{
    // Of one list of a thousand values the processor soon knows every branch.
    private const int Lists = 64;

    private float[][] lists = null!;
    private int next;
    private float[] keys = null!;
    private int[] positions = null!;
    private int[] best = null!;

    [Params(1000, 5000)]
    public int N { get; set; }

    [Params(10, 100, 500)]
    public int K { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        var random = new Random(1);
        lists = [.. Enumerable.Range(0, Lists).Select(_ => Enumerable.Range(0, N).Select(_ => random.NextSingle()).ToArray())];
        (keys, positions, best) = (new float[N], new int[N], new int[K]);
    }

    [Benchmark]
    public void Select() => TopK.Select(Next(), best);

    [Benchmark(Baseline = true)]
    public void Sort()
    {
        Next().CopyTo(keys, 0);
        for (var i = 0; i < positions.Length; i++)
            positions[i] = i;
        Array.Sort(keys, positions);
    }

    private float[] Next() => lists[next++ % Lists];
}
