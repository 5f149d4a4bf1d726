using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Models;

/// <summary>The three dense graphs of a version, open.</summary>
internal sealed record ServableGraphs(InferenceSession UserEncoder, InferenceSession ItemEncoder, InferenceSession Head) : IDisposable
{
    public void Dispose()
    {
        UserEncoder.Dispose();
        ItemEncoder.Dispose();
        Head.Dispose();
    }
}
