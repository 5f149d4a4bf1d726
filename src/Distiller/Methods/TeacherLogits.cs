using System.Runtime.InteropServices;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>Logits of several sources side by side.</summary>
internal static class TeacherLogits
{
    /// <returns>[N, sources], 0 where a source is silent; and whether all of them spoke of a candidate, [N].</returns>
    public static (Tensor Logits, bool[] Known) Of(FeatureBatch batch, IReadOnlyList<int> sources)
    {
        var matrix = empty([batch.Candidates, sources.Count], dtype: ScalarType.Float32);
        var values = MemoryMarshal.Cast<byte, float>(matrix.bytes);
        var known = new bool[batch.Candidates];
        Array.Fill(known, true);
        for (var s = 0; s < sources.Count; s++)
        {
            var labels = batch.SoftLabels(sources[s]);
            for (var i = 0; i < labels.Length; i++)
            {
                var isKnown = !float.IsNaN(labels[i]);
                values[i * sources.Count + s] = isKnown ? labels[i] : 0;
                known[i] &= isKnown;
            }
        }
        return (matrix, known);
    }
}
