using KdServing.Contracts;

namespace KdServing.Serving.Kernels;

/// <summary>The weights of a student of a family this server has a kernel for.</summary>
internal abstract record StudentWeights
{
    /// <summary>Reads them from a version's three graph files.</summary>
    /// <returns>Null when the graphs compute something else; ONNX Runtime computes that.</returns>
    public static StudentWeights? Read(byte[] userEncoder, byte[] itemEncoder, byte[] head)
    {
        var user = new DenseGraph(userEncoder).Chain(StudentSignature.User, StudentSignature.UserPart);
        var item = new DenseGraph(itemEncoder).Chain(StudentSignature.Item, StudentSignature.ItemVector);
        var graph = new DenseGraph(head);
        if (user is null || item is null || graph.Find(StudentSignature.Scores, "Sigmoid", 1, 1)?.Inputs[0] != StudentSignature.Logits)
            return null;
        return ReadMlp(graph, user, item) ?? (StudentWeights?)ReadTwoTower(graph, user, item);
    }

    // logits = output(relu(hidden(… relu(user_part[row_of] + item_vector + live·W) …)))
    private static MlpWeights? ReadMlp(DenseGraph head, List<AffineWeights> user, List<AffineWeights> item)
    {
        if (user.Count != 1 || item.Count != 1)
            return null;
        var layers = new List<AffineWeights>();
        var value = StudentSignature.Logits;
        while (head.Affine(value) is { } affine)
        {
            if (head.Find(affine.Input, "Relu", 1, 1) is not { } relu)
                return null;
            layers.Insert(0, affine.Layer);
            value = relu.Inputs[0];
        }
        AffineWeights? live = null;
        if (head.AffineOnto(value) is { } onto)
        {
            if (onto.Input != StudentSignature.Live)
                return null;
            (live, value) = (onto.Layer, onto.Addend);
        }
        return layers.Count > 0 && IsUserWithItem(head, value, "Add") ? new(user[0], item[0], live, layers[..^1], layers[^1]) : null;
    }

    // logits = combine(user_part[row_of] ∘ item_vector) (+ live_net(live))
    private static TwoTowerWeights? ReadTwoTower(DenseGraph head, List<AffineWeights> user, List<AffineWeights> item)
    {
        var value = StudentSignature.Logits;
        List<AffineWeights> live = [];
        if (head.AffineOnto(value) is { } onto)
        {
            if (onto.Input != StudentSignature.Live)
            {
                if (head.Find(onto.Input, "Relu", 1, 1) is not { } relu || head.Chain(StudentSignature.Live, relu.Inputs[0]) is not { } chain)
                    return null;
                live = chain;
            }
            live.Add(onto.Layer);
            value = onto.Addend;
        }
        return head.Affine(value) is { } combine && IsUserWithItem(head, combine.Input, "Mul") ? new(user, item, combine.Layer, live) : null;
    }

    private static bool IsUserWithItem(DenseGraph head, string value, string operation) =>
        head.Find(value, operation, 2, 2) is { } join && join.Inputs[1] == StudentSignature.ItemVector
        && head.Find(join.Inputs[0], "Gather", 2, 2) is { } users
        && users.Inputs[0] == StudentSignature.UserPart && users.Inputs[1] == StudentSignature.RowOf;
}

/// <summary>Family <c>mlp</c>: output(relu(hidden(… relu(user·U + b + item·I + live·L) …))).</summary>
/// <param name="Live">Null when the schema has no live or cross features.</param>
internal sealed record MlpWeights(AffineWeights User, AffineWeights Item, AffineWeights? Live, IReadOnlyList<AffineWeights> Hidden,
    AffineWeights Output) : StudentWeights;

/// <summary>Family <c>two_tower</c>: combine(userTower(user) ∘ itemTower(item)) + liveNet(live); relu between layers.</summary>
/// <param name="Combine">[targets, dimension]; its bias includes that of the live net's last layer.</param>
/// <param name="LiveNet">Empty when the schema has no live or cross features; its last layer has no bias.</param>
internal sealed record TwoTowerWeights(IReadOnlyList<AffineWeights> UserTower, IReadOnlyList<AffineWeights> ItemTower, AffineWeights Combine,
    IReadOnlyList<AffineWeights> LiveNet) : StudentWeights;
