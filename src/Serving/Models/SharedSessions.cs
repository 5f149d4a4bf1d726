using System.Security.Cryptography;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Models;

/// <summary>Sessions of graphs without weights, one a shape, for as long as a version uses it. Any thread.</summary>
/// <param name="open">Opens an ONNX file.</param>
internal sealed class SharedSessions(Func<byte[], InferenceSession> open)
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, Entry> entries = new(StringComparer.Ordinal);

    /// <exception cref="OnnxRuntimeException">ONNX Runtime refuses the graph.</exception>
    public OpenGraph Open(WeightlessGraph graph)
    {
        var shape = Convert.ToHexString(SHA256.HashData(graph.Model));
        InferenceSession session;
        lock (gate)
        {
            if (!entries.TryGetValue(shape, out var entry))
                entries[shape] = entry = new(open(graph.Model));
            entry.Users++;
            session = entry.Session;
        }
        return new(session, graph.Constants, () => Close(shape));
    }

    private void Close(string shape)
    {
        lock (gate)
        {
            var entry = entries[shape];
            if (--entry.Users > 0)
                return;
            entries.Remove(shape);
            entry.Session.Dispose();
        }
    }

    private sealed class Entry(InferenceSession session)
    {
        public InferenceSession Session => session;

        public int Users { get; set; }
    }
}
