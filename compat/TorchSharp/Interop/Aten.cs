using System.Runtime.CompilerServices;

namespace TorchSharp.Interop;

/// <summary>Every ATen operator this package binds; a field's name is the operator's, with <c>__</c> before the overload.</summary>
internal static class Aten
{
    // Pointwise.
    internal static readonly Operator
        abs = Op(), abs_ = Op(), ceil = Op(), ceil_ = Op(), exp = Op(), exp_ = Op(), expm1 = Op(), floor = Op(), floor_ = Op(), log = Op(), log_ = Op(),
        log10 = Op(), log1p = Op(), log2 = Op(), neg = Op(), neg_ = Op(), reciprocal = Op(), reciprocal_ = Op(), round = Op(), round__decimals = Op(), round_ = Op(), rsqrt = Op(), rsqrt_ = Op(),
        sign = Op(), sign_ = Op(), sqrt = Op(), sqrt_ = Op(), square = Op(), trunc = Op(), sin = Op(), cos = Op(), erf = Op(), frac = Op(),
        add__Tensor = Op(), add__Scalar = Op(), add___Tensor = Op(), add___Scalar = Op(), sub__Tensor = Op(), sub__Scalar = Op(), sub___Tensor = Op(), sub___Scalar = Op(),
        rsub__Scalar = Op(), mul__Tensor = Op(), mul__Scalar = Op(), mul___Tensor = Op(), mul___Scalar = Op(), div__Tensor = Op(), div__Scalar = Op(), div___Tensor = Op(), div___Scalar = Op(),
        div__Tensor_mode = Op(), div__Scalar_mode = Op(), div___Tensor_mode = Op(), div___Scalar_mode = Op(), remainder__Tensor = Op(), remainder__Scalar = Op(), fmod__Tensor = Op(), fmod__Scalar = Op(),
        addcmul = Op(), addcmul_ = Op(), addcdiv = Op(), addcdiv_ = Op(), lerp__Tensor = Op(), lerp__Scalar = Op(),
        pow__Tensor_Scalar = Op(), pow__Tensor_Tensor = Op(), pow__Scalar = Op(), pow___Scalar = Op(), clamp = Op(), clamp_ = Op(), clamp__Tensor = Op(), maximum = Op(), minimum = Op(), logaddexp = Op(),
        isnan = Op(), isinf = Op(), isfinite = Op(), nan_to_num = Op();

    // Activations.
    internal static readonly Operator
        relu = Op(), relu_ = Op(), leaky_relu = Op(), gelu = Op(), silu = Op(), sigmoid = Op(), sigmoid_ = Op(), tanh = Op(), tanh_ = Op(), softplus = Op(), log_sigmoid = Op(), elu = Op(),
        hardtanh = Op(), mish = Op(), softmax__int = Op(), log_softmax__int = Op(), dropout = Op(), dropout_ = Op();

    // Comparison and logic.
    internal static readonly Operator
        eq__Tensor = Op(), eq__Scalar = Op(), ne__Tensor = Op(), ne__Scalar = Op(), lt__Tensor = Op(), lt__Scalar = Op(), le__Tensor = Op(), le__Scalar = Op(),
        gt__Tensor = Op(), gt__Scalar = Op(), ge__Tensor = Op(), ge__Scalar = Op(), logical_and = Op(), logical_or = Op(), logical_not = Op(), logical_xor = Op(), bitwise_and__Tensor = Op(), bitwise_or__Tensor = Op(), bitwise_xor__Tensor = Op(), bitwise_not = Op(),
        equal = Op(), allclose = Op(), isclose = Op(), where__self = Op(), nonzero = Op(), bincount = Op();

    // Reductions and scans.
    internal static readonly Operator
        sum = Op(), sum__dim_IntList = Op(), mean = Op(), mean__dim = Op(), prod = Op(), prod__dim_int = Op(), var = Op(), var__dim = Op(), std = Op(), std__dim = Op(),
        max = Op(), max__dim = Op(), min = Op(), min__dim = Op(), amax = Op(), amin = Op(), argmax = Op(), argmin = Op(), norm__Scalar = Op(), norm__ScalarOpt_dim = Op(),
        logsumexp = Op(), all = Op(), all__dim = Op(), any = Op(), any__dim = Op(), cumsum = Op(), cumprod = Op(), logcumsumexp = Op(), median = Op(), count_nonzero = Op(), count_nonzero__dim_IntList = Op(),
        topk = Op(), sort__stable = Op(), argsort = Op();

    // Conversion to .NET.
    internal static readonly Operator item = Op();

    // Shape and indexing.
    internal static readonly Operator
        reshape = Op(), view = Op(), t = Op(), transpose__int = Op(), permute = Op(), squeeze = Op(), squeeze__dim = Op(), unsqueeze = Op(), narrow = Op(), slice__Tensor = Op(),
        select__int = Op(), index_select = Op(), index__Tensor = Op(), index_put_ = Op(), index_add = Op(), index_add_ = Op(), index_copy = Op(), index_copy_ = Op(), index_fill__int_Scalar = Op(), gather = Op(), scatter__src = Op(), scatter__value = Op(),
        scatter___src = Op(), scatter___value = Op(), scatter_add = Op(), scatter_add_ = Op(), take_along_dim = Op(), cat = Op(), stack = Op(), split__Tensor = Op(), split_with_sizes = Op(), chunk = Op(), unbind__int = Op(),
        expand = Op(), expand_as = Op(), contiguous = Op(), clone = Op(), detach = Op(), detach_ = Op(), copy_ = Op(), fill___Scalar = Op(), zero_ = Op(),
        flatten__using_ints = Op(), repeat = Op(), repeat_interleave__self_int = Op(), repeat_interleave__self_Tensor = Op(), masked_fill__Scalar = Op(),
        masked_fill___Scalar = Op(), masked_select = Op(), triu = Op(), tril = Op(), flip = Op(), roll = Op(), diagonal = Op(), diag = Op(), movedim__int = Op(), _to_copy = Op(), one_hot = Op(), _unique2 = Op();

    // Products and distances.
    internal static readonly Operator
        matmul = Op(), mm = Op(), bmm = Op(), mv = Op(), addmm = Op(), baddbmm = Op(), dot = Op(), outer = Op(), einsum = Op(), linear = Op(), cdist = Op(), cosine_similarity = Op(), pairwise_distance = Op();

    // Losses, normalisation, tables.
    internal static readonly Operator
        binary_cross_entropy_with_logits = Op(), binary_cross_entropy = Op(), mse_loss = Op(), l1_loss = Op(), smooth_l1_loss = Op(), huber_loss = Op(), kl_div = Op(), cross_entropy_loss = Op(), nll_loss_nd = Op(), margin_ranking_loss = Op(), cosine_embedding_loss = Op(),
        embedding = Op(), layer_norm = Op(), batch_norm = Op();

    // Creation and random numbers.
    internal static readonly Operator
        empty__memory_format = Op(), zeros = Op(), ones = Op(), full = Op(), arange__start_step = Op(), linspace = Op(), eye__m = Op(), rand = Op(), randn = Op(), randint__low = Op(), randperm = Op(),
        empty_like = Op(), zeros_like = Op(), ones_like = Op(), full_like = Op(), rand_like = Op(), randn_like = Op(), bernoulli = Op(), multinomial = Op(), uniform_ = Op(), normal_ = Op();

    // `add___Tensor` is the in-place add_ with overload Tensor: the overload starts after the last double underscore.
    private static Operator Op([CallerMemberName] string field = "")
    {
        var at = field.LastIndexOf("__", StringComparison.Ordinal);
        return at <= 0 || at + 2 == field.Length ? new(field) : new(field[..at], field[(at + 2)..]);
    }
}
