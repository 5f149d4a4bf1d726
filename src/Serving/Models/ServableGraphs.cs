using KdServing.Serving.Kernels;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Models;

/// <summary>The three dense graphs of a version, open.</summary>
/// <param name="Weights">What they compute, when they are of a family this server has a kernel for; else null.</param>
internal sealed record ServableGraphs(InferenceSession UserEncoder, InferenceSession ItemEncoder, InferenceSession Head, StudentWeights? Weights)
    : IDisposable
{
    public void Dispose()
    {
        UserEncoder.Dispose();
        ItemEncoder.Dispose();
        Head.Dispose();
    }
}
