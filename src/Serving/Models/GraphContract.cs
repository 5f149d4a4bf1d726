using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>One tensor a graph takes or gives.</summary>
/// <param name="ElementType">ONNX's number: 1 float32, 7 int64.</param>
/// <param name="Width">Size of the last of two dimensions; null: one dimension.</param>
internal sealed record GraphTensor(string Name, int ElementType, int? Width);

/// <summary>What one graph file must take and give, as the manifest's signature says.</summary>
internal sealed record GraphContract(string File, IReadOnlyList<GraphTensor> Inputs, IReadOnlyList<GraphTensor> Outputs)
{
    private const int Float = 1;
    private const int Int64 = 7;

    public static GraphContract UserEncoder(StudentSignature s) => new(StudentSignature.UserEncoderFile,
        [new(StudentSignature.User, Float, s.UserWidth)],
        [new(StudentSignature.UserPart, Float, s.UserPartWidth)]);

    public static GraphContract ItemEncoder(StudentSignature s) => new(StudentSignature.ItemEncoderFile,
        [new(StudentSignature.Item, Float, s.ItemWidth)],
        [new(StudentSignature.ItemVector, Float, s.ItemVectorWidth)]);

    public static GraphContract Head(StudentSignature s)
    {
        List<GraphTensor> inputs =
        [
            new(StudentSignature.UserPart, Float, s.UserPartWidth),
            new(StudentSignature.RowOf, Int64, null),
            new(StudentSignature.ItemVector, Float, s.ItemVectorWidth),
        ];
        if (s.LiveWidth > 0)
            inputs.Add(new(StudentSignature.Live, Float, s.LiveWidth));
        return new(StudentSignature.HeadFile, inputs,
            [new(StudentSignature.Logits, Float, s.Targets.Count), new(StudentSignature.Scores, Float, s.Targets.Count)]);
    }
}
