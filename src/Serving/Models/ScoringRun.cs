using System.Numerics;
using System.Numerics.Tensors;
using KdServing.Contracts;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Kernels;

namespace KdServing.Serving.Models;

/// <summary>
/// What a request borrows of one version: decoded features, the state of whichever engine scores, and afterwards its logits and scores.
/// One request at a time.
/// </summary>
public sealed unsafe class ScoringRun : IDisposable
{
    private readonly ServableGraphs graphs;
    private readonly StudentSignature signature;
    private readonly int targets;
    private GraphRun? graphRun;
    private KernelScratch? scratch;

    internal ScoringRun(ServableGraphs graphs, StudentSignature signature, CandidateColumns columns, ScoringBuffers buffers)
    {
        this.graphs = graphs;
        this.signature = signature;
        targets = signature.Targets.Count;
        Columns = columns;
        Buffers = buffers;
    }

    internal ScoringBuffers Buffers { get; }

    internal CandidateColumns Columns { get; }

    /// <summary>Candidates of the request scored last.</summary>
    public int Candidates { get; private set; }

    /// <summary>Row-major [candidates, targets].</summary>
    public ReadOnlySpan<float> Logits => new(Buffers.Logits.Floats, checked(Candidates * targets));

    /// <summary>Row-major [candidates, targets].</summary>
    public ReadOnlySpan<float> Scores => new(Buffers.Scores.Floats, checked(Candidates * targets));

    /// <summary>Rows that a kernel's products in pairs did not reach, of all layers and all requests of this run.</summary>
    internal long RowsApart => scratch?.RowsApart ?? 0;

    /// <summary>Whether every logit and score is a number.</summary>
    internal bool IsFinite => AllFinite(Logits) && AllFinite(Scores);

    internal Span<float> User => new(Buffers.User.Floats, signature.UserWidth);

    /// <summary>Makes room for so many candidates.</summary>
    internal void Resize(int candidates, int columns)
    {
        if (Buffers.Reserve(signature, candidates, columns))
            FreeGraphs();
        Columns.Reserve(candidates);
        Candidates = candidates;
    }

    /// <summary>Scores the user and the columns of this run.</summary>
    /// <param name="kernel">Null: by ONNX Runtime.</param>
    internal void Score(StudentKernel? kernel, in CallBudget budget)
    {
        if (kernel is null)
        {
            Graphs.Score(Columns, Candidates, budget);
            return;
        }
        var state = scratch ??= kernel.NewScratch(Buffers.Scratch);
        kernel.Begin(Buffers.User.Floats, state);
        for (var first = 0; first < Candidates; first += StudentKernel.BlockRows)
        {
            var count = Math.Min(StudentKernel.BlockRows, Candidates - first);
            var ahead = Math.Min(StudentKernel.BlockRows, Candidates - first - count);
            kernel.Score(Columns, first, count, ahead, state, Buffers.Logits.Floats + (nint)first * targets);
        }
        TensorPrimitives.Sigmoid(Logits, new(Buffers.Scores.Floats, Logits.Length));
    }

    /// <summary>Scores what is decoded in several runs of one version together, by ONNX Runtime, in this run's memory; each run gets its results.</summary>
    internal void ScoreTogether(ReadOnlySpan<ScoringRun> runs) => Graphs.Score(runs);

    /// <summary>Copies this run's results out of those of a batch.</summary>
    /// <param name="first">Row of its first candidate there.</param>
    internal void Take(ScoringBuffers batch, int first)
    {
        var start = (nint)first * targets;
        new ReadOnlySpan<float>(batch.Logits.Floats + start, Logits.Length).CopyTo(new(Buffers.Logits.Floats, Logits.Length));
        new ReadOnlySpan<float>(batch.Scores.Floats + start, Scores.Length).CopyTo(new(Buffers.Scores.Floats, Scores.Length));
    }

    /// <summary>Copies results out of a device's run.</summary>
    /// <param name="from">Place of the first one there.</param>
    /// <param name="first">First of this run's candidates.</param>
    internal void Take(DeviceStaging staging, int from, int first, int count) => staging.Take(from,
        new(Buffers.Logits.Floats + (nint)first * targets, count * targets), new(Buffers.Scores.Floats + (nint)first * targets, count * targets));

    /// <summary>Scores the user, live columns and item vectors that are known.</summary>
    internal void Score(StudentKernel? kernel, ReadOnlySpan<nint> vectors, ItemVectorFormat format, in CallBudget budget)
    {
        if (kernel is null)
        {
            Graphs.Score(Columns, vectors, format, budget);
            return;
        }
        var state = scratch ??= kernel.NewScratch(Buffers.Scratch);
        kernel.Begin(Buffers.User.Floats, state);
        kernel.Score(Columns, vectors, format, signature.ItemVectorWidth, state, Buffers.Logits.Floats, targets);
        TensorPrimitives.Sigmoid(Logits, new(Buffers.Scores.Floats, Logits.Length));
    }

    /// <summary>Item vectors [rows, vector width] of assembled items [rows, item width].</summary>
    internal void Encode(StudentKernel? kernel, ReadOnlySpan<float> items, int rows, Span<float> vectors)
    {
        if (kernel is null)
        {
            Graphs.Encode(items, rows, vectors);
            return;
        }
        var state = scratch ??= kernel.NewScratch(Buffers.Scratch);
        fixed (float* from = items)
        fixed (float* to = vectors)
        {
            for (var first = 0; first < rows; first += StudentKernel.BlockRows)
            {
                kernel.Encode(from + (nint)first * signature.ItemWidth, Math.Min(StudentKernel.BlockRows, rows - first), state,
                    to + (nint)first * signature.ItemVectorWidth);
            }
        }
    }

    /// <summary>Takes candidates out of what was scored: logit minus infinity, score 0.</summary>
    internal void Exclude(ReadOnlySpan<int> candidates)
    {
        foreach (var candidate in candidates)
        {
            for (var t = 0; t < targets; t++)
            {
                Buffers.Logits.Floats[(long)candidate * targets + t] = float.NegativeInfinity;
                Buffers.Scores.Floats[(long)candidate * targets + t] = 0;
            }
        }
    }

    /// <summary>Frees what is bound to the version; its buffers are the caller's again.</summary>
    public void Dispose() => FreeGraphs();

    // x·0 is 0 for every finite x and NaN otherwise: one multiply-add a value, no branch.
    private static bool AllFinite(ReadOnlySpan<float> values)
    {
        var sum = Vector<float>.Zero;
        var i = 0;
        for (; i <= values.Length - Vector<float>.Count; i += Vector<float>.Count)
            sum += new Vector<float>(values[i..]) * Vector<float>.Zero;
        var rest = Vector.Sum(sum);
        for (; i < values.Length; i++)
            rest += values[i] * 0f;
        return rest == 0f;
    }

    private GraphRun Graphs => graphRun ??= new(graphs, signature, Buffers);

    private void FreeGraphs()
    {
        graphRun?.Dispose();
        graphRun = null;
    }
}
