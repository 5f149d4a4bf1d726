using KdServing.Contracts;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace KdServing.Serving.Models;

/// <summary>
/// Scoring buffers bound to the three graphs of one version: what a request borrows, and where its logits and scores lie
/// afterwards. One request at a time.
/// </summary>
/// <remarks>
/// Tensors are bound again only when the number of candidates changes; at a steady size a request allocates nothing here.
/// </remarks>
public sealed class ScoringRun : IDisposable
{
    private readonly StudentSignature signature;
    private readonly int targets;
    private readonly List<OrtValue> values = [];

    internal ScoringRun(ServableGraphs graphs, StudentSignature signature, ScoringBuffers buffers)
    {
        this.signature = signature;
        targets = signature.Targets.Count;
        Buffers = buffers;
        UserEncoder = graphs.UserEncoder.CreateIoBinding();
        ItemEncoder = graphs.ItemEncoder.CreateIoBinding();
        Head = graphs.Head.CreateIoBinding();
    }

    internal ScoringBuffers Buffers { get; }

    internal OrtIoBinding UserEncoder { get; }

    internal OrtIoBinding ItemEncoder { get; }

    internal OrtIoBinding Head { get; }

    /// <summary>Candidates of the request scored last.</summary>
    public int Candidates { get; private set; }

    /// <summary>Row-major [candidates, targets].</summary>
    public unsafe ReadOnlySpan<float> Logits => new(Buffers.Logits.Floats, checked(Candidates * targets));

    /// <summary>Row-major [candidates, targets].</summary>
    public unsafe ReadOnlySpan<float> Scores => new(Buffers.Scores.Floats, checked(Candidates * targets));

    internal unsafe Span<float> User => new(Buffers.User.Floats, signature.UserWidth);

    internal unsafe Span<float> Item => new(Buffers.Item.Floats, checked(Candidates * signature.ItemWidth));

    internal unsafe Span<float> Live => new(Buffers.Live.Floats, checked(Candidates * signature.LiveWidth));

    /// <summary>Makes room for so many candidates and binds the tensors of that size.</summary>
    internal void Resize(int candidates, int columns)
    {
        if (candidates == Candidates)
            return;
        Buffers.Reserve(signature, candidates, columns);
        Unbind();
        Candidates = candidates;

        var userPart = Floats(Buffers.UserPart, 1, signature.UserPartWidth);
        UserEncoder.BindInput(StudentSignature.User, Floats(Buffers.User, 1, signature.UserWidth));
        UserEncoder.BindOutput(StudentSignature.UserPart, userPart);

        var itemVector = Floats(Buffers.ItemVector, candidates, signature.ItemVectorWidth);
        ItemEncoder.BindInput(StudentSignature.Item, Floats(Buffers.Item, candidates, signature.ItemWidth));
        ItemEncoder.BindOutput(StudentSignature.ItemVector, itemVector);

        Head.BindInput(StudentSignature.UserPart, userPart);
        Head.BindInput(StudentSignature.RowOf, Tensor(Buffers.RowOf, TensorElementType.Int64, [candidates], sizeof(long) * (long)candidates));
        Head.BindInput(StudentSignature.ItemVector, itemVector);
        if (signature.LiveWidth > 0)
            Head.BindInput(StudentSignature.Live, Floats(Buffers.Live, candidates, signature.LiveWidth));
        Head.BindOutput(StudentSignature.Logits, Floats(Buffers.Logits, candidates, targets));
        Head.BindOutput(StudentSignature.Scores, Floats(Buffers.Scores, candidates, targets));
    }

    /// <summary>Frees what is bound to the version; its buffers are the caller's again.</summary>
    public void Dispose()
    {
        Unbind();
        UserEncoder.Dispose();
        ItemEncoder.Dispose();
        Head.Dispose();
    }

    private void Unbind()
    {
        Candidates = 0;
        foreach (var binding in (ReadOnlySpan<OrtIoBinding>)[UserEncoder, ItemEncoder, Head])
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
