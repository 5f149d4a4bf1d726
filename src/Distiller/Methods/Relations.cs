using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Methods;

/// <summary>Losses that compare how candidates lie to each other, in the student's space and the teacher's: widths need not agree.</summary>
/// <remarks>
/// Vectors are [sessions, members, width], masks [sessions, members] with 1 for a member; every session counts alike. No gradient flows
/// into the teacher.
/// </remarks>
internal static class Relations
{
    // Roots and norms have no slope at 0.
    private const double Epsilon = 1e-12;

    /// <summary>
    /// Relational distillation, distance-wise (arXiv:1904.05068): Huber (δ = 1) of the distances, each divided by the mean positive
    /// distance of its session and space; mean over all pairs, the diagonal's zeros included.
    /// </summary>
    public static Tensor Distance(Tensor student, Tensor teacher, Tensor mask)
    {
        var pairs = mask.unsqueeze(2).mul(mask.unsqueeze(1));
        var losses = Huber(Distances(student, pairs), Distances(teacher.detach(), pairs)).mul(pairs);
        return losses.sum([1, 2]).div(pairs.sum([1, 2])).mean();
    }

    /// <summary>
    /// Relational distillation, angle-wise (arXiv:1904.05068): Huber of the cosines of the angle at j between i and k, mean over all
    /// triples. Memory: members³ a session.
    /// </summary>
    public static Tensor Angle(Tensor student, Tensor teacher, Tensor mask)
    {
        var triples = mask.unsqueeze(2).unsqueeze(3).mul(mask.unsqueeze(1).unsqueeze(3)).mul(mask.unsqueeze(1).unsqueeze(2));
        var losses = Huber(Cosines(student), Cosines(teacher.detach())).mul(triples);
        return losses.sum([1, 2, 3]).div(triples.sum([1, 2, 3])).mean();
    }

    /// <summary>
    /// Full topology distillation (KDD 2021): the sum over all pairs of a session, the diagonal included, of the squared difference of
    /// the cosine similarities; mean over sessions.
    /// </summary>
    public static Tensor FullTopology(Tensor student, Tensor teacher, Tensor mask)
    {
        var pairs = mask.unsqueeze(2).mul(mask.unsqueeze(1));
        return Similarities(student).sub(Similarities(teacher.detach())).square().mul(pairs).sum([1, 2]).mean();
    }

    /// <summary>
    /// Hierarchical topology distillation (KDD 2021): within groups the similarities of members, for pairs that the teacher holds
    /// positively similar; beyond them the similarity of every member to every group's mean vector, which is a constant on both sides.
    /// Sums of squared differences, mean over sessions.
    /// </summary>
    /// <param name="groups">One-hot membership [sessions, members, K], without gradient.</param>
    public static Tensor HierarchicalTopology(Tensor student, Tensor teacher, Tensor mask, Tensor groups)
    {
        teacher = teacher.detach();
        groups = groups.detach().mul(mask.unsqueeze(2));
        var reference = Similarities(teacher);
        var same = groups.matmul(groups.transpose(1, 2)).mul(reference.gt(0).to_type(mask.dtype));
        var entities = Similarities(student).sub(reference).square().mul(same).sum([1, 2]);

        // A group without members here has no mean.
        var present = groups.sum(1).gt(0).to_type(mask.dtype);
        var known = mask.unsqueeze(2).mul(present.unsqueeze(1));
        var toGroups = Similarities(student, Means(student.detach(), groups)).sub(Similarities(teacher, Means(teacher, groups))).square().mul(known).sum([1, 2]);
        return entities.add(toGroups).mean();
    }

    /// <summary>
    /// InfoNCE within each session: a student vector must be nearer to its own teacher vector than to the others';
    /// mean softmax cross entropy of Q·Kᵀ/T with the diagonal as target.
    /// </summary>
    public static Tensor InfoNce(Tensor student, Tensor teacher, Tensor mask, double temperature)
    {
        var logits = student.matmul(teacher.detach().transpose(1, 2)).div(temperature)
            .add(mask.sub(1).mul(1e30).unsqueeze(1));
        return logits.log_softmax(2).diagonal(0, 1, 2).neg().mul(mask).sum().div(mask.sum());
    }

    /// <summary>
    /// NCE over both sides (CL4SRec, arXiv:2010.14395): each of the 2n vectors of a session must be nearer to its other view than to all
    /// the others; mean softmax cross entropy.
    /// </summary>
    public static Tensor BothSidesNce(Tensor student, Tensor teacher, Tensor mask, double temperature)
    {
        var n = student.shape[1];
        var views = cat([student, teacher.detach()], 1);
        var members = cat([mask, mask], 1);
        var logits = views.matmul(views.transpose(1, 2)).div(temperature)
            .add(members.sub(1).mul(1e30).unsqueeze(1)).sub(eye(2 * n).to_type(mask.dtype).mul(1e30));
        var shares = logits.log_softmax(2);
        var own = shares.narrow(1, 0, n).narrow(2, n, n).diagonal(0, 1, 2).add(shares.narrow(1, n, n).narrow(2, 0, n).diagonal(0, 1, 2));
        return own.neg().mul(mask).sum().div(mask.sum().mul(2));
    }

    private static Tensor Distances(Tensor vectors, Tensor pairs)
    {
        var squared = vectors.unsqueeze(2).sub(vectors.unsqueeze(1)).square().sum(3);
        // A candidate and itself, or a copy: distance 0 without a slope, and not among the positive ones.
        var apart = squared.detach().gt(0).to_type(vectors.dtype).mul(pairs);
        var distances = squared.clamp_min(Epsilon).sqrt().mul(apart);
        var mean = distances.sum([1, 2], keepdim: true).div(apart.sum([1, 2], keepdim: true).clamp_min(1));
        return distances.div(mean.clamp_min(Epsilon));
    }

    // [g, i, j, k]: cosine between i − j and k − j.
    private static Tensor Cosines(Tensor vectors)
    {
        var differences = functional.normalize(vectors.unsqueeze(1).sub(vectors.unsqueeze(2)), dim: 3);
        return differences.matmul(differences.transpose(2, 3)).transpose(1, 2);
    }

    private static Tensor Similarities(Tensor vectors) => Similarities(vectors, vectors);

    private static Tensor Similarities(Tensor left, Tensor right) =>
        functional.normalize(left, dim: 2).matmul(functional.normalize(right, dim: 2).transpose(1, 2));

    private static Tensor Means(Tensor vectors, Tensor groups) =>
        groups.transpose(1, 2).matmul(vectors).div(groups.sum(1).clamp_min(1).unsqueeze(2));

    private static Tensor Huber(Tensor x, Tensor y) => functional.huber_loss(x, y, 1, reduction: Reduction.None);
}
