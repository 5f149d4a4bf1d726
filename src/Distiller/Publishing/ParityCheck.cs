using KdServing.Contracts;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Distiller.Publishing;

/// <summary>A version does not compute what the trainer computed, or holds values that are no numbers; it must not be published.</summary>
public sealed class ParityException(string message) : Exception(message);

/// <summary>Runs the graphs just written on the golden batch and compares them with the trainer.</summary>
public sealed class ParityCheck
{
    /// <summary>Largest |a − b| / max(1, |a|) allowed, a being the trainer's logit.</summary>
    public const double Tolerance = 1e-5;

    private readonly FeatureSchema schema;
    private readonly GoldenInputs inputs;

    public ParityCheck(FeatureSchema schema, GoldenBatch golden)
    {
        this.schema = schema;
        inputs = new(schema, golden);
    }

    /// <summary>Compares the three dense graphs with the golden logits and, if it is there, <c>ranker.onnx</c> with them.</summary>
    /// <param name="folder">Holds the graphs.</param>
    /// <returns>The worst error of both comparisons.</returns>
    /// <exception cref="ParityException">It is above <see cref="Tolerance"/>, or not a number.</exception>
    public double Require(string folder, IReadOnlyList<EmbeddingTable> tables)
    {
        var split = RunSplit(folder, tables);
        var worst = Worst(inputs.Logits, split, "the dense graphs", "the trainer");
        var ranker = Path.Combine(folder, StudentSignature.RankerFile);
        if (!File.Exists(ranker))
            return worst;
        var values = inputs.RankerInputs();
        try
        {
            return Math.Max(worst, Worst(split, Run(ranker, values, StudentSignature.Logits), StudentSignature.RankerFile, "the dense graphs"));
        }
        finally
        {
            foreach (var value in values.Values)
                value.Dispose();
        }
    }

    private float[] RunSplit(string folder, IReadOnlyList<EmbeddingTable> tables)
    {
        var (user, item, live) = inputs.Assemble(tables);
        var (u, n) = (inputs.Users, inputs.Candidates);
        using var userValue = OrtValue.CreateTensorValueFromMemory(user, [u, schema.User.Width]);
        var userPart = Run(Path.Combine(folder, StudentSignature.UserEncoderFile),
            new() { [StudentSignature.User] = userValue }, StudentSignature.UserPart);
        using var itemValue = OrtValue.CreateTensorValueFromMemory(item, [n, schema.Item.Width]);
        var itemVector = Run(Path.Combine(folder, StudentSignature.ItemEncoderFile),
            new() { [StudentSignature.Item] = itemValue }, StudentSignature.ItemVector);

        using var userPartValue = OrtValue.CreateTensorValueFromMemory(userPart, [u, userPart.Length / u]);
        using var rowOfValue = OrtValue.CreateTensorValueFromMemory(inputs.RowOf, [n]);
        using var itemVectorValue = OrtValue.CreateTensorValueFromMemory(itemVector, [n, itemVector.Length / n]);
        var headInputs = new Dictionary<string, OrtValue>
        {
            [StudentSignature.UserPart] = userPartValue,
            [StudentSignature.RowOf] = rowOfValue,
            [StudentSignature.ItemVector] = itemVectorValue,
        };
        using var liveValue = schema.Live.Width == 0 ? null : OrtValue.CreateTensorValueFromMemory(live, [n, schema.Live.Width]);
        if (liveValue is not null)
            headInputs[StudentSignature.Live] = liveValue;
        return Run(Path.Combine(folder, StudentSignature.HeadFile), headInputs, StudentSignature.Logits);
    }

    private static float[] Run(string path, Dictionary<string, OrtValue> inputs, string output)
    {
        using var options = new SessionOptions { IntraOpNumThreads = 1, InterOpNumThreads = 1 };
        using var session = new InferenceSession(path, options);
        using var run = new RunOptions();
        using var results = session.Run(run, inputs, [output]);
        return results[0].GetTensorDataAsSpan<float>().ToArray();
    }

    private double Worst(float[] expected, float[] actual, string who, string whom)
    {
        var worst = 0.0;
        for (var i = 0; i < expected.Length; i++)
        {
            var error = Math.Abs((double)expected[i] - actual[i]) / Math.Max(1, Math.Abs((double)expected[i]));
            // A comparison that is false for NaN.
            if (!(error <= Tolerance))
            {
                var targets = schema.Targets.Count;
                throw new ParityException($"{who} disagree with {whom}: candidate {i / targets} of the golden batch, target " +
                    $"'{schema.Targets[i % targets]}': {actual[i]:R} instead of {expected[i]:R} (relative error {error:0.0e+0}, allowed {Tolerance:0.0e+0})");
            }
            worst = Math.Max(worst, error);
        }
        return worst;
    }
}
