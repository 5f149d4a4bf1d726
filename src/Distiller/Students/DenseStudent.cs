using KdServing.Contracts;

namespace KdServing.Distiller.Students;

/// <summary>One affine layer: y = W·x + b.</summary>
/// <param name="Weight">Row-major [<paramref name="Outputs"/>, <paramref name="Inputs"/>], as torch keeps it.</param>
/// <param name="Bias">[<paramref name="Outputs"/>]; null when the layer has none.</param>
public sealed record DenseLayer(float[] Weight, float[]? Bias, int Inputs, int Outputs);

/// <summary>
/// The dense part of a student as plain arrays: what the exporter writes and what a checkpoint keeps. Everything sparse (the
/// embedding rows) is outside.
/// </summary>
public abstract record DenseStudent(StudentSignature Signature)
{
    /// <summary>This student with the item encoder of another of the same shape.</summary>
    public abstract DenseStudent WithItemEncoderOf(DenseStudent other);
}

/// <summary>
/// Family <c>mlp</c> (COLD-like, arXiv:2007.16122): the first layer over [user; item; live] is three products, so that the
/// user's is computed once a request and the item's once a version.
/// </summary>
/// <remarks>
/// user_part = User(user); item_vector = Item(item);
/// h = relu(user_part[row_of] + item_vector + Live(live)); h = relu(Hidden[k](h)) in turn; logits = Output(h).
/// UserPartWidth = ItemVectorWidth = width of the first layer. Only <c>User</c> has a bias among the three.
/// </remarks>
/// <param name="Live">Null when the schema has no live or cross features.</param>
public sealed record DenseMlp(StudentSignature Signature, DenseLayer User, DenseLayer Item, DenseLayer? Live,
    IReadOnlyList<DenseLayer> Hidden, DenseLayer Output) : DenseStudent(Signature)
{
    /// <inheritdoc/>
    public override DenseStudent WithItemEncoderOf(DenseStudent other) => this with { Item = ((DenseMlp)other).Item };
}

/// <summary>Family <c>two_tower</c> (DSSM-like): a tower a side, a weighted inner product a target, live features beside it.</summary>
/// <remarks>
/// user_part = UserTower(user), item_vector = ItemTower(item), relu between a tower's layers and none after the last;
/// logits[n,t] = Σ_d Combine[t,d]·user_part[row_of[n],d]·item_vector[n,d] + bias[t] + LiveNet(live[n])[t].
/// </remarks>
/// <param name="Combine">[T, D] with bias [T].</param>
/// <param name="LiveNet">relu between the layers, none after the last; empty when the schema has no live or cross features.</param>
public sealed record DenseTwoTower(StudentSignature Signature, IReadOnlyList<DenseLayer> UserTower,
    IReadOnlyList<DenseLayer> ItemTower, DenseLayer Combine, IReadOnlyList<DenseLayer> LiveNet) : DenseStudent(Signature)
{
    /// <inheritdoc/>
    public override DenseStudent WithItemEncoderOf(DenseStudent other) => this with { ItemTower = ((DenseTwoTower)other).ItemTower };
}
