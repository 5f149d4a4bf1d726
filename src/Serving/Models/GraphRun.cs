using KdServing.Contracts;
using KdServing.Serving.Kernels;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace KdServing.Serving.Models;

/// <summary>A version's three graphs with a run's buffers bound to them: scoring by ONNX Runtime. One request, or one batch of them, at a time.</summary>
/// <remarks>Tensors are bound again only when the number of users or candidates changes; at a steady size nothing is allocated here.</remarks>
internal sealed unsafe class GraphRun : IDisposable
{
    private static readonly RunOptions RunOptions = new();

    private readonly ServableGraphs graphs;
    private readonly StudentSignature signature;
    private readonly ScoringBuffers buffers;
    private readonly OrtIoBinding userEncoder;
    private readonly OrtIoBinding itemEncoder;
    private readonly OrtIoBinding head;
    private readonly List<OrtValue> values = [];
    private int users;
    private int candidates;

    public GraphRun(ServableGraphs graphs, StudentSignature signature, ScoringBuffers buffers)
    {
        this.graphs = graphs;
        this.signature = signature;
        this.buffers = buffers;
        userEncoder = graphs.UserEncoder.Session.CreateIoBinding();
        itemEncoder = graphs.ItemEncoder.Session.CreateIoBinding();
        head = graphs.Head.Session.CreateIoBinding();
    }

    /// <summary>Scores the candidates of the columns into the run's logits and scores.</summary>
    public void Score(CandidateColumns columns, int count, in CallBudget budget)
    {
        Resize(users: 1, count);
        Fill(columns, 0, count);
        graphs.UserEncoder.Session.RunWithBinding(RunOptions, userEncoder);
        graphs.ItemEncoder.Session.RunWithBinding(RunOptions, itemEncoder);
        budget.ThrowIfSpent();
        graphs.Head.Session.RunWithBinding(RunOptions, head);
    }

    /// <summary>Scores the requests of several runs of this version in one go; each run gets its own logits and scores.</summary>
    /// <remarks>Each request has its user's row, computed once; its candidates say which one is theirs.</remarks>
    public void Score(ReadOnlySpan<ScoringRun> runs)
    {
        var count = 0;
        foreach (var run in runs)
            count += run.Candidates;
        Resize(runs.Length, count);
        var first = 0;
        for (var user = 0; user < runs.Length; user++)
        {
            var run = runs[user];
            run.User.CopyTo(new Span<float>(buffers.User.Floats + (nint)user * signature.UserWidth, signature.UserWidth));
            new Span<long>(buffers.RowOf.Longs + first, run.Candidates).Fill(user);
            Fill(run.Columns, first, run.Candidates);
            first += run.Candidates;
        }
        graphs.UserEncoder.Session.RunWithBinding(RunOptions, userEncoder);
        graphs.ItemEncoder.Session.RunWithBinding(RunOptions, itemEncoder);
        graphs.Head.Session.RunWithBinding(RunOptions, head);
        first = 0;
        foreach (var run in runs)
        {
            run.Take(buffers, first);
            first += run.Candidates;
        }
    }

    /// <summary>The same for known item vectors; of the columns only live and cross features are read.</summary>
    public void Score(CandidateColumns columns, ReadOnlySpan<nint> vectors, ItemVectorFormat format, in CallBudget budget)
    {
        Resize(users: 1, vectors.Length);
        // The user's part is not computed yet: as many zeros as a vector has floats.
        buffers.UserPart.Reserve(sizeof(float) * (long)signature.ItemVectorWidth);
        new Span<float>(buffers.UserPart.Floats, signature.ItemVectorWidth).Clear();
        Gathering.AddTo(vectors, format, signature.ItemVectorWidth, buffers.UserPart.Floats, buffers.ItemVector.Floats, signature.ItemVectorWidth, relu: false);
        CandidateColumns.Fill(columns.Live, 0, vectors.Length, buffers.Live.Floats, signature.LiveWidth);
        graphs.UserEncoder.Session.RunWithBinding(RunOptions, userEncoder);
        budget.ThrowIfSpent();
        graphs.Head.Session.RunWithBinding(RunOptions, head);
    }

    /// <summary>Item vectors of some items.</summary>
    public void Encode(ReadOnlySpan<float> items, int count, Span<float> vectors)
    {
        Resize(users: 1, count);
        items.CopyTo(new Span<float>(buffers.Item.Floats, items.Length));
        graphs.ItemEncoder.Session.RunWithBinding(RunOptions, itemEncoder);
        new ReadOnlySpan<float>(buffers.ItemVector.Floats, vectors.Length).CopyTo(vectors);
    }

    /// <summary>Frees what is bound to the version; the buffers are the caller's again.</summary>
    public void Dispose()
    {
        Unbind();
        userEncoder.Dispose();
        itemEncoder.Dispose();
        head.Dispose();
    }

    // Features of a run's candidates into the matrices, from a row on.
    private void Fill(CandidateColumns columns, int first, int count)
    {
        CandidateColumns.Fill(columns.Item, 0, count, buffers.Item.Floats + (nint)first * signature.ItemWidth, signature.ItemWidth);
        CandidateColumns.Fill(columns.Live, 0, count, buffers.Live.Floats + (nint)first * signature.LiveWidth, signature.LiveWidth);
    }

    private void Resize(int users, int count)
    {
        if (users == this.users && count == candidates)
            return;
        buffers.ReserveGraphs(signature, users, count);
        Unbind();
        (this.users, candidates) = (users, count);
        graphs.UserEncoder.BindWeights(userEncoder);
        graphs.ItemEncoder.BindWeights(itemEncoder);
        graphs.Head.BindWeights(head);
        // One user: whatever a batch has left there.
        if (users == 1)
            new Span<long>(buffers.RowOf.Longs, count).Clear();

        var userPart = Floats(buffers.UserPart, users, signature.UserPartWidth);
        userEncoder.BindInput(StudentSignature.User, Floats(buffers.User, users, signature.UserWidth));
        userEncoder.BindOutput(StudentSignature.UserPart, userPart);

        var itemVector = Floats(buffers.ItemVector, count, signature.ItemVectorWidth);
        itemEncoder.BindInput(StudentSignature.Item, Floats(buffers.Item, count, signature.ItemWidth));
        itemEncoder.BindOutput(StudentSignature.ItemVector, itemVector);

        head.BindInput(StudentSignature.UserPart, userPart);
        head.BindInput(StudentSignature.RowOf, Tensor(buffers.RowOf, TensorElementType.Int64, [count], sizeof(long) * (long)count));
        head.BindInput(StudentSignature.ItemVector, itemVector);
        if (signature.LiveWidth > 0)
            head.BindInput(StudentSignature.Live, Floats(buffers.Live, count, signature.LiveWidth));
        head.BindOutput(StudentSignature.Logits, Floats(buffers.Logits, count, signature.Targets.Count));
        head.BindOutput(StudentSignature.Scores, Floats(buffers.Scores, count, signature.Targets.Count));
    }

    private void Unbind()
    {
        (users, candidates) = (0, 0);
        foreach (var binding in (ReadOnlySpan<OrtIoBinding>)[userEncoder, itemEncoder, head])
        {
            binding.ClearBoundInputs();
            binding.ClearBoundOutputs();
        }
        foreach (var value in values)
            value.Dispose();
        values.Clear();
    }

    private OrtValue Floats(NativeBuffer buffer, int rows, int width) =>
        Tensor(buffer, TensorElementType.Float, [rows, width], sizeof(float) * (long)rows * width);

    private OrtValue Tensor(NativeBuffer buffer, TensorElementType type, long[] shape, long bytes)
    {
        var value = OrtValue.CreateTensorValueWithData(OrtMemoryInfo.DefaultInstance, type, shape, buffer.Address, bytes);
        values.Add(value);
        return value;
    }
}
