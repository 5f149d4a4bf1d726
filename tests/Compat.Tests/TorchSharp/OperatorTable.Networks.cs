using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Compat.Tests.TorchSharp;

internal static partial class OperatorTable
{
    private static IEnumerable<OperatorCall> Networks() =>
    [
        Method("addmm", t => t[0].addmm(t[1], t[2], 0.5f, 2f)),
        Function("addmm", t => addmm(t[0], t[1], t[2], 0.5f, 2f)),
        Method("baddbmm", t => t[0].baddbmm(t[1], t[2], 0.5f, 2f)),
        Function("baddbmm", t => baddbmm(t[0], t[1], t[2], 0.5f, 2f)),
        Function("einsum", t => einsum("ij,jk->ik", t)),
        Function("cdist:p1", t => cdist(t[0], t[1], 1.0)),
        .. Reduced("mse_loss", functional.mse_loss, MSELoss),
        .. Reduced("l1_loss", functional.l1_loss, L1Loss),
        .. Reduced("smooth_l1_loss", (x, y, r) => functional.smooth_l1_loss(x, y, r), r => SmoothL1Loss(r)),
        .. Reduced("huber_loss", (x, y, r) => functional.huber_loss(x, y, reduction: r), r => HuberLoss(reduction: r)),
        .. Reduced("binary_cross_entropy_with_logits", (x, y, r) => functional.binary_cross_entropy_with_logits(x, y, reduction: r), r => BCEWithLogitsLoss(reduction: r)),
        Functional("smooth_l1_loss:beta", t => functional.smooth_l1_loss(t[0], t[1], beta: 0.5)),
        Functional("huber_loss:delta", t => functional.huber_loss(t[0], t[1], 0.5)),
        Functional("binary_cross_entropy_with_logits:weights", t => functional.binary_cross_entropy_with_logits(t[0], t[1], t[2], pos_weights: t[3])),
        Functional("binary_cross_entropy:weight", t => functional.binary_cross_entropy(t[0], t[1], t[2], Reduction.Sum)),
        Member("binary_cross_entropy:weight", "nn.BCELoss", t => BCELoss(t[2], Reduction.Sum).call(t[0], t[1])),
        Functional("cross_entropy:soft", t => functional.cross_entropy(t[0], t[1], reduction: Reduction.None)),
        Member("cross_entropy:soft", "nn.CrossEntropyLoss", t => CrossEntropyLoss(reduction: Reduction.None).call(t[0], t[1])),
        Functional("cross_entropy:options", t => functional.cross_entropy(t[0], t[1], t[2], 1, label_smoothing: 0.1)),
        Functional("kl_div", t => functional.kl_div(t[0], t[1])),
        Member("kl_div", "nn.KLDivLoss", t => KLDivLoss().call(t[0], t[1])),
        Functional("kl_div:linear", t => functional.kl_div(t[0], t[1], false, Reduction.Sum)),
        Functional("nll_loss", t => functional.nll_loss(t[0], t[1])),
        Member("nll_loss", "nn.NLLLoss", t => NLLLoss().call(t[0], t[1])),
        Functional("margin_ranking_loss", t => functional.margin_ranking_loss(t[0], t[1], t[2], 0.3)),
        Functional("cosine_embedding_loss", t => functional.cosine_embedding_loss(t[0], t[1], t[2], 0.1)),
        Functional("layer_norm", t => functional.layer_norm(t[0], [4], t[1], t[2])),
        Functional("batch_norm", t => BatchNorm(t, true)),
        Functional("batch_norm:eval", t => BatchNorm(t, false)),
        Functional("one_hot", t => functional.one_hot(t[0], 6)),
        Functional("dropout", t => functional.dropout(t[0], 0.4)),
        Member("dropout", "nn.Dropout", t => Dropout(0.4).call(t[0])),
        Functional("dropout:inplace", t => functional.dropout(t[0].clone(), 0.4, inplace: true)),
        Member("Embedding", "nn.Embedding", t => Embedding_from_pretrained(t[0].alias(), false).call(t[1])),
    ];

    private static IEnumerable<OperatorCall> Reduced<T>(string name, Func<Tensor, Tensor, Reduction, Tensor> function, Func<Reduction, T> module)
        where T : Loss<Tensor, Tensor, Tensor> =>
        from variant in new[] { ("", Reduction.Mean), (":none", Reduction.None), (":sum", Reduction.Sum) }
        from call in new[]
        {
            Functional(name + variant.Item1, t => function(t[0], t[1], variant.Item2)),
            Member(name + variant.Item1, "nn." + typeof(T).Name, t => module(variant.Item2).call(t[0], t[1])),
        }
        select call;

    private static Tensor[] BatchNorm(Tensor[] t, bool training)
    {
        var (mean, variance) = (tensor(new[] { 0.1f, 0.2f, 0.3f }), tensor(new[] { 1f, 2f, 3f }));
        return [functional.batch_norm(t[0], mean, variance, t[1], t[2], training, 0.1), mean, variance];
    }
}
