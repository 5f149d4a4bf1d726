using System.Security.Cryptography;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Models;

/// <summary>Sessions of graphs without weights, one a shape, for as long as a version uses it. Any thread.</summary>
/// <param name="open">Opens an ONNX file.</param>
internal sealed class SharedSessions(Func<byte[], InferenceSession> open)
{
    private readonly SharedByShape<InferenceSession> sessions = new();

    /// <exception cref="OnnxRuntimeException">ONNX Runtime refuses the graph.</exception>
    public OpenGraph Open(WeightlessGraph graph)
    {
        var shape = Convert.ToHexString(SHA256.HashData(graph.Model));
        return new(sessions.Take(shape, () => open(graph.Model)), graph.Constants, () => sessions.Return(shape));
    }
}
