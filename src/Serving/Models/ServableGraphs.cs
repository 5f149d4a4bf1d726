using KdServing.Serving.Kernels;

namespace KdServing.Serving.Models;

/// <summary>The three dense graphs of a version, open.</summary>
/// <param name="Weights">What they compute, when they are of a family this server has a kernel for; else null.</param>
internal sealed record ServableGraphs(OpenGraph UserEncoder, OpenGraph ItemEncoder, OpenGraph Head, StudentWeights? Weights)
    : IDisposable
{
    /// <summary>Good to check a kernel by; to serve with, each graph should have a session of its own.</summary>
    public bool AreShared => UserEncoder.IsShared || ItemEncoder.IsShared || Head.IsShared;

    public void Dispose()
    {
        UserEncoder.Dispose();
        ItemEncoder.Dispose();
        Head.Dispose();
    }
}
