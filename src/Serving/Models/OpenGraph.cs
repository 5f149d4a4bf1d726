using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace KdServing.Serving.Models;

/// <summary>A version's graph in ONNX Runtime: a session of its own, or one that versions of the same shape share and this one's weights beside it.</summary>
internal sealed class OpenGraph : IDisposable
{
    private const int Alignment = 64;

    private readonly Action close;
    private readonly NativeBuffer memory = new();
    private readonly List<(string Name, OrtValue Value)> weights = [];

    /// <summary>A session of its own.</summary>
    public OpenGraph(InferenceSession session)
    {
        Session = session;
        close = session.Dispose;
    }

    /// <summary>A session of others too.</summary>
    /// <param name="close">Gives the session back.</param>
    public unsafe OpenGraph(InferenceSession session, IReadOnlyList<OnnxConstant> constants, Action close)
    {
        Session = session;
        this.close = close;
        IsShared = true;
        memory.Reserve(constants.Sum(c => Aligned(c.Raw.Length)));
        var address = memory.Address;
        foreach (var constant in constants)
        {
            constant.Raw.CopyTo(new Span<byte>((void*)address, constant.Raw.Length));
            weights.Add((constant.Name, OrtValue.CreateTensorValueWithData(OrtMemoryInfo.DefaultInstance,
                (TensorElementType)constant.ElementType, constant.Shape, address, constant.Raw.Length)));
            address += (nint)Aligned(constant.Raw.Length);
        }
    }

    public InferenceSession Session { get; }

    /// <summary>The session takes the weights as inputs: it can neither fold nor pack them, and is slower for it.</summary>
    public bool IsShared { get; }

    /// <summary>Binds what a run of this version needs besides its data; again after inputs were cleared.</summary>
    public void BindWeights(OrtIoBinding binding)
    {
        foreach (var (name, value) in weights)
            binding.BindInput(name, value);
    }

    public void Dispose()
    {
        foreach (var (_, value) in weights)
            value.Dispose();
        weights.Clear();
        memory.Dispose();
        close();
    }

    private static long Aligned(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;
}
