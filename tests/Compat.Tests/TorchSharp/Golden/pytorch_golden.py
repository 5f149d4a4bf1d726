"""Writes what PyTorch gives for every operator that compat/TorchSharp binds: values and gradients, as JSON on stdout.

    /usr/bin/python3 pytorch_golden.py > pytorch_golden.json

A case's name is the operator's, with a variant after a colon. Gradients are those of sum(w * out) over the real outputs,
with w = ((7 k) mod 11 - 5) / 5 at element k. The generator is seeded with 7 before each case, on both sides.
"""
import json
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(1)
cases, optimizers = [], []


def X(*shape, grad=True):
    """Normal numbers, two decimals."""
    return torch.round(torch.randn(shape, generator=generator) * 100).div(100).requires_grad_(grad)


def P(*shape, low=0.1, high=2.0, grad=True):
    """Numbers in (low, high)."""
    return torch.round((torch.rand(shape, generator=generator) * (high - low) + low) * 100).div(100).requires_grad_(grad)


def I(*shape, low=0, high=5):
    return torch.randint(low, high, shape, generator=generator)


def B(*shape):
    return torch.randint(0, 2, shape, generator=generator).bool()


def number(value, digits):
    if isinstance(value, float):
        if value != value:
            return "nan"
        if value in (float("inf"), float("-inf")):
            return "inf" if value > 0 else "-inf"
        return float(f"{value:.{digits}g}")
    return value


def plain(tensor):
    digits = 12 if tensor.dtype == torch.float64 else 7
    return {"dtype": str(tensor.dtype).split(".")[1], "shape": list(tensor.shape), "data": [number(v, digits) for v in tensor.detach().flatten().tolist()]}


def flat(result):
    if isinstance(result, bool):
        return [torch.tensor(result)]
    if isinstance(result, torch.Tensor):
        return [result]
    return [t for part in result for t in flat(part)]


def case(name, inputs, body):
    if any(c["name"] == name for c in cases):
        raise ValueError("case twice: " + name)
    torch.manual_seed(7)
    outputs = flat(body(*inputs))
    record = {"name": name, "inputs": [dict(plain(t), grad=t.requires_grad) for t in inputs], "outputs": [plain(t) for t in outputs]}
    total = sum((o * (((torch.arange(o.numel()) * 7) % 11 - 5).to(o.dtype) / 5).reshape(o.shape)).sum() for o in outputs if o.is_floating_point() and o.requires_grad)
    leaves = [t for t in inputs if t.requires_grad]
    if leaves and isinstance(total, torch.Tensor):
        grads = torch.autograd.grad(total, leaves, allow_unused=True)
        record["grads"] = [None if g is None else plain(g) for g in grads]
    cases.append(record)


def odd(t):
    """Numbers with nan and infinities among them."""
    t = t.detach().clone()
    t.view(-1)[0], t.view(-1)[1], t.view(-1)[2] = float("nan"), float("inf"), float("-inf")
    return t


def put(x, v):
    y = x.clone()
    y[1:3] = v
    y[0, 1] = v[0]
    return y


def norm(x, w, b, training):
    mean, var = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 2.0, 3.0])
    return [F.batch_norm(x, mean, var, w, b, training, 0.1), mean, var]


# Pointwise.
for name in "abs ceil exp expm1 floor frac neg negative reciprocal round sign square trunc sin cos erf sigmoid tanh relu".split():
    case(name, [X(2, 3)], lambda x, n=name: getattr(torch, n)(x))
for name in "log log10 log1p log2 rsqrt sqrt".split():
    case(name, [P(2, 3)], lambda x, n=name: getattr(torch, n)(x))
for name in "abs_ ceil_ exp_ floor_ neg_ round_ sign_ sigmoid_ tanh_ relu_".split():
    case(name, [X(2, 3)], lambda x, n=name: getattr(x.clone(), n)())
for name in "log_ reciprocal_ rsqrt_ sqrt_".split():
    case(name, [P(2, 3)], lambda x, n=name: getattr(x.clone(), n)())
for name in "isnan isinf isfinite nan_to_num".split():
    case(name, [odd(X(2, 3))], lambda x, n=name: getattr(torch, n)(x))
case("nan_to_num:values", [odd(X(2, 3))], lambda x: torch.nan_to_num(x, 1.5, 9.0, -9.0))
case("round:decimals", [X(2, 3)], lambda x: torch.round(x, decimals=1))
for name in "gelu silu elu mish softplus logsigmoid hardtanh leaky_relu".split():
    case(name, [X(2, 3)], lambda x, n=name: getattr(F, n)(x))
case("leaky_relu:slope", [X(2, 3)], lambda x: F.leaky_relu(x, 0.2))
case("softplus:beta", [X(2, 3)], lambda x: F.softplus(x, beta=2.0, threshold=1.0))
case("relu:inplace", [X(2, 3)], lambda x: F.relu(x.clone(), inplace=True))
case("gelu:inplace", [X(2, 3, grad=False)], lambda x: F.gelu(x))
for name in "clamp clip".split():
    case(name, [X(2, 3)], lambda x, n=name: getattr(torch, n)(x, -0.5, 0.5))
case("clamp:tensor", [X(2, 3), X(2, 3, grad=False)], lambda x, lo: torch.clamp(x, min=lo))
case("clamp_", [X(2, 3)], lambda x: x.clone().clamp_(-0.5, 0.5))
case("clamp_min", [X(2, 3)], lambda x: x.clamp_min(0.1))
case("clamp_max", [X(2, 3)], lambda x: x.clamp_max(0.1))

# Arithmetic.
for name in "add sub mul div maximum minimum logaddexp multiply subtract".split():
    case(name, [X(2, 3), X(2, 3)], lambda a, b, n=name: getattr(torch, n)(a, b))
for name in "fmod remainder".split():
    case(name, [X(2, 3), P(2, 3, grad=False)], lambda a, b, n=name: getattr(torch, n)(a, b))
    case(name + ":scalar", [X(2, 3)], lambda a, n=name: getattr(torch, n)(a, 0.75))
case("add:broadcast", [X(2, 3), X(3)], lambda a, b: a + b)
case("add:integers", [I(2, 3), I(2, 3)], lambda a, b: a + b)
case("add:alpha", [X(2, 3), X(2, 3)], lambda a, b: torch.add(a, b, alpha=0.5))
case("sub:alpha", [X(2, 3), X(2, 3)], lambda a, b: torch.sub(a, b, alpha=0.5))
for name, value in (("add", 1.5), ("sub", 1.5), ("mul", 1.5), ("div", 1.5)):
    case(name + ":scalar", [X(2, 3)], lambda a, n=name, v=value: getattr(torch, n)(a, v))
    case(name + "_:scalar", [X(2, 3)], lambda a, n=name, v=value: getattr(a.clone(), n + "_")(v))
    case(name + "_", [X(2, 3), X(2, 3)], lambda a, b, n=name: getattr(a.clone(), n + "_")(b))
case("add_:alpha", [X(2, 3), X(2, 3)], lambda a, b: a.clone().add_(b, alpha=0.5))
case("sub_:alpha", [X(2, 3), X(2, 3)], lambda a, b: a.clone().sub_(b, alpha=0.5))
case("add:scalar_alpha", [X(2, 3)], lambda a: torch.add(a, 1.5, alpha=2))
for mode in ("trunc", "floor"):
    case("div:" + mode, [X(2, 3), P(2, 3)], lambda a, b, m=mode: torch.div(a, b, rounding_mode=m))
    case("div:scalar_" + mode, [X(2, 3)], lambda a, m=mode: torch.div(a, 0.3, rounding_mode=m))
    case("div_:" + mode, [X(2, 3), P(2, 3)], lambda a, b, m=mode: a.clone().div_(b, rounding_mode=m))
    case("div_:scalar_" + mode, [X(2, 3)], lambda a, m=mode: a.clone().div_(0.3, rounding_mode=m))
for name in ("addcmul", "addcdiv"):
    case(name, [X(2, 3), X(2, 3), P(2, 3)], lambda a, b, c, n=name: getattr(torch, n)(a, b, c, value=0.5))
    case(name + "_", [X(2, 3), X(2, 3), P(2, 3)], lambda a, b, c, n=name: getattr(a.clone(), n + "_")(b, c, value=0.5))
case("addcdiv:one", [X(2, 3), X(2, 3), P(2, 3)], lambda a, b, c: torch.addcdiv(a, b, c))
case("addcdiv_:one", [X(2, 3), X(2, 3), P(2, 3)], lambda a, b, c: a.clone().addcdiv_(b, c))
case("lerp", [X(2, 3), X(2, 3), P(2, 3)], torch.lerp)
case("lerp:scalar", [X(2, 3), X(2, 3)], lambda a, b: torch.lerp(a, b, 0.3))
case("pow", [P(2, 3), X(2, 3)], torch.pow)
case("pow:scalar", [X(2, 3)], lambda a: torch.pow(a, 3))
case("pow:base", [X(2, 3)], lambda a: torch.pow(2.0, a))
case("pow_", [X(2, 3)], lambda a: a.clone().pow_(2))
case("op_Addition", [X(2, 3)], lambda a: [a + 2, 2 + a, a + 0.5, 0.5 + a])
case("op_Subtraction", [X(2, 3)], lambda a: [a - 2, 2 - a, a - 0.5, 0.5 - a])
case("op_Multiply", [X(2, 3)], lambda a: [a * 2, 2 * a, a * 0.5, 0.5 * a])
case("op_Division", [P(2, 3)], lambda a: [a / 2, 2 / a, a / 0.5, 0.5 / a])
case("op_tensors", [X(2, 3), P(2, 3)], lambda a, b: [a + b, a - b, a * b, a / b, -a])
case("op_Modulus", [X(2, 3), P(2, 3, grad=False)], lambda a, b: [a % b, a % 0.75])
case("op_bits", [B(2, 3), B(2, 3)], lambda a, b: [a & b, a | b, a ^ b, ~a])

# Comparison and logic.
for name in "eq ne lt le gt ge".split():
    case(name, [I(2, 3), I(2, 3)], lambda a, b, n=name: getattr(torch, n)(a, b))
    case(name + ":scalar", [I(2, 3)], lambda a, n=name: getattr(torch, n)(a, 2))
for name in "logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor".split():
    case(name, [B(2, 3), B(2, 3)], lambda a, b, n=name: getattr(torch, n)(a, b))
for name in "logical_not bitwise_not".split():
    case(name, [B(2, 3)], lambda a, n=name: getattr(torch, n)(a))
case("bitwise_and:integers", [I(2, 3), I(2, 3)], torch.bitwise_and)
case("equal", [I(2, 3), I(2, 3)], torch.equal)
case("equal:same", [I(2, 3)], lambda a: torch.equal(a, a.clone()))
case("allclose", [X(2, 3, grad=False)], lambda a: torch.allclose(a, a + 1e-3, 1e-5, 1e-2))
case("isclose", [X(2, 3, grad=False)], lambda a: torch.isclose(a, a * 1.001, 1e-2, 1e-8))
case("where", [B(2, 3), X(2, 3), X(2, 3)], torch.where)
case("nonzero", [I(2, 3, high=2)], torch.nonzero)

# Reductions and scans.
for name in "sum mean prod var std max min norm median".split():
    case(name, [X(3, 4)], lambda x, n=name: getattr(torch, n)(x))
for name in "argmax argmin".split():
    case(name, [X(3, 4)], lambda x, n=name: getattr(torch, n)(x))
    case(name + ":dim", [X(3, 4)], lambda x, n=name: getattr(torch, n)(x, 1, True))
case("sum:dim", [X(3, 4)], lambda x: x.sum(1, True))
case("sum:dims", [X(2, 3, 4)], lambda x: x.sum((0, 2)))
case("sum:type", [I(2, 3)], lambda x: x.sum(dtype=torch.float64))
case("mean:dims", [X(2, 3, 4)], lambda x: x.mean((0, 2), True))
case("prod:dim", [X(3, 4)], lambda x: x.prod(1))
for name in ("var", "std"):
    case(name + ":biased", [X(3, 4)], lambda x, n=name: getattr(torch, n)(x, unbiased=False))
    case(name + ":dim", [X(3, 4)], lambda x, n=name: getattr(torch, n)(x, 1, unbiased=False, keepdim=True))
    case(name + ":dims", [X(2, 3, 4)], lambda x, n=name: getattr(torch, n)(x, (0, 2), unbiased=True))
for name in ("max", "min"):
    case(name + ":dim", [X(3, 4)], lambda x, n=name: getattr(torch, n)(x, 1, True))
    case(name + ":other", [X(3, 4), X(3, 4)], lambda a, b, n=name: getattr(torch, n)(a, b))
for name in ("amax", "amin"):
    case(name, [X(2, 3, 4)], lambda x, n=name: getattr(torch, n)(x, (0, 2)))
    case(name + ":keepdim", [X(2, 3, 4)], lambda x, n=name: getattr(torch, n)(x, (1,), True))
case("norm:p", [X(3, 4)], lambda x: torch.norm(x, 1.0))
case("norm:dim", [X(3, 4)], lambda x: torch.norm(x, 2.0, 1, True))
case("logsumexp", [X(3, 4)], lambda x: torch.logsumexp(x, 1, True))
for name in ("all", "any"):
    case(name, [B(2, 3)], lambda x, n=name: getattr(torch, n)(x))
    case(name + ":dim", [B(2, 3)], lambda x, n=name: getattr(torch, n)(x, 1, True))
for name in "cumsum cumprod logcumsumexp".split():
    case(name, [X(3, 4)], lambda x, n=name: getattr(torch, n)(x, 1))
case("count_nonzero", [I(3, 4, high=2)], torch.count_nonzero)
case("count_nonzero:dims", [I(3, 4, high=2)], lambda x: torch.count_nonzero(x, (1,)))
case("topk", [X(3, 5)], lambda x: torch.topk(x, 2, 1, False, True))
case("sort", [X(3, 4)], lambda x: torch.sort(x, dim=1, descending=True, stable=True))
case("argsort", [X(3, 4)], lambda x: torch.argsort(x, 1, True))
case("bincount", [I(8)], lambda x: torch.bincount(x, minlength=7))
case("bincount:weights", [I(8), X(8, grad=False)], lambda x, w: torch.bincount(x, w))
case("unique", [I(9)], lambda x: torch.unique(x, return_inverse=True, return_counts=True))
case("softmax", [X(3, 4)], lambda x: torch.softmax(x, 1))
case("log_softmax", [X(3, 4)], lambda x: torch.log_softmax(x, 1))
case("softmax:type", [X(3, 4)], lambda x: torch.softmax(x, 1, torch.float64))

# Shape and indexing.
case("reshape", [X(2, 6)], lambda x: x.reshape(3, -1))
case("view", [X(2, 6)], lambda x: x.view(3, 4))
case("view_as", [X(2, 6), X(3, 4, grad=False)], lambda x, y: x.view_as(y))
case("t", [X(2, 3)], torch.t)
case("get_T", [X(2, 3)], lambda x: x.T)
case("transpose", [X(2, 3, 4)], lambda x: x.transpose(0, 2))
case("permute", [X(2, 3, 4)], lambda x: x.permute(2, 0, 1))
case("movedim", [X(2, 3, 4)], lambda x: x.movedim(0, 2))
case("squeeze", [X(2, 1, 3, 1)], torch.squeeze)
case("squeeze:dim", [X(2, 1, 3, 1)], lambda x: x.squeeze(1))
case("unsqueeze", [X(2, 3)], lambda x: x.unsqueeze(1))
case("flatten", [X(2, 3, 4)], lambda x: x.flatten(1, 2))
case("expand", [X(1, 3)], lambda x: x.expand(2, 3))
case("expand_as", [X(1, 3), X(2, 3, grad=False)], lambda x, y: x.expand_as(y))
case("repeat", [X(2, 3)], lambda x: x.repeat(2, 1))
case("repeat_interleave", [X(2, 3)], lambda x: torch.repeat_interleave(x, 2, 0))
case("repeat_interleave:tensor", [X(2, 3), torch.tensor([2, 1])], lambda x, r: torch.repeat_interleave(x, r, 0))
case("contiguous", [X(2, 3)], lambda x: x.t().contiguous())
case("clone", [X(2, 3)], torch.clone)
case("detach", [X(2, 3)], lambda x: [x * 2, x.detach()])
case("detach_", [X(2, 3)], lambda x: [x * 2, (x * 3).detach_()])
case("copy_", [X(2, 3), X(3)], lambda x, y: x.clone().copy_(y))
case("fill_", [X(2, 3)], lambda x: x.clone().fill_(2.5))
case("zero_", [X(2, 3)], lambda x: x.clone().zero_())
case("flip", [X(2, 3)], lambda x: x.flip(1))
case("roll", [X(2, 3)], lambda x: x.roll(1, 1))
case("triu", [X(3, 3)], lambda x: x.triu(1))
case("tril", [X(3, 3)], lambda x: x.tril())
case("diagonal", [X(3, 4)], lambda x: x.diagonal(1))
case("diag", [X(3)], lambda x: torch.diag(x))
case("to", [X(2, 3)], lambda x: x.to(torch.float64))
case("to_type", [I(2, 3)], lambda x: x.to(torch.float32))
case("type_as", [I(2, 3), X(1)], lambda x, y: x.type_as(y))
case("float", [I(2, 3)], lambda x: x.float())
case("double", [X(2, 3)], lambda x: x.double())
case("long", [X(2, 3)], lambda x: x.long())
case("int", [X(2, 3)], lambda x: x.int())
case("bool", [I(2, 3, high=2)], lambda x: x.bool())
case("cpu", [X(2, 3)], lambda x: x.cpu())
case("item", [X(1, grad=False)], lambda x: torch.tensor(x.item()))
case("narrow", [X(4, 3)], lambda x: x.narrow(0, 1, 2))
case("slice", [X(6, 3)], lambda x: x[1:6:2])
case("select", [X(4, 3)], lambda x: x.select(0, 2))
case("index_select", [X(4, 3), torch.tensor([2, 0, 2])], lambda x, i: x.index_select(0, i))
case("index_add", [X(4, 3), torch.tensor([2, 0, 2]), X(3, 3)], lambda x, i, s: x.index_add(0, i, s, alpha=0.5))
case("index_add_", [X(4, 3), torch.tensor([2, 0, 2]), X(3, 3)], lambda x, i, s: x.clone().index_add_(0, i, s, alpha=0.5))
case("index_copy", [X(4, 3), torch.tensor([2, 0]), X(2, 3)], lambda x, i, s: x.index_copy(0, i, s))
case("index_copy_", [X(4, 3), torch.tensor([2, 0]), X(2, 3)], lambda x, i, s: x.clone().index_copy_(0, i, s))
case("index_fill", [X(4, 3), torch.tensor([2, 0])], lambda x, i: x.index_fill(0, i, 1.5))
case("index", [X(4, 3), torch.tensor([2, 0, 1]), torch.tensor([1, 1, 0])], lambda x, i, j: x[i, j])
case("index:mask", [X(4), torch.tensor([True, False, True, True])], lambda x, m: x[m])
case("index:mixed", [X(2, 4, 3), torch.tensor([2, 0])], lambda x, i: [x[..., 1], x[:, i], x[1, 1:3], x[:, None, 0], x[0, i, 1]])
case("index_put_", [X(4, 3), torch.tensor([2, 0]), X(3)], lambda x, i, v: x.clone().index_put_((i,), v))
case("index_put_:slice", [X(4, 3), X(3)], lambda x, v: put(x, v))
case("gather", [X(3, 4), I(3, 2, high=4)], lambda x, i: x.gather(1, i))
case("scatter", [X(3, 4), torch.tensor([[0, 2], [1, 3], [3, 0]]), X(3, 2)], lambda x, i, s: x.scatter(1, i, s))
case("scatter:value", [X(3, 4), torch.tensor([[0, 2], [1, 3], [3, 0]])], lambda x, i: x.scatter(1, i, 1.5))
case("scatter_", [X(3, 4), torch.tensor([[0, 2], [1, 3], [3, 0]]), X(3, 2)], lambda x, i, s: x.clone().scatter_(1, i, s))
case("scatter_:value", [X(3, 4), torch.tensor([[0, 2], [1, 3], [3, 0]])], lambda x, i: x.clone().scatter_(1, i, 1.5))
case("scatter_add", [X(3, 4), torch.tensor([[0, 2], [1, 1], [3, 0]]), X(3, 2)], lambda x, i, s: x.scatter_add(1, i, s))
case("scatter_add_", [X(3, 4), torch.tensor([[0, 2], [1, 1], [3, 0]]), X(3, 2)], lambda x, i, s: x.clone().scatter_add_(1, i, s))
case("take_along_dim", [X(3, 4), I(3, 2, high=4)], lambda x, i: torch.take_along_dim(x, i, 1))
case("cat", [X(2, 3), X(1, 3)], lambda a, b: torch.cat([a, b], 0))
case("concat", [X(2, 3), X(2, 1)], lambda a, b: torch.cat([a, b], 1))
case("stack", [X(2, 3), X(2, 3)], lambda a, b: torch.stack([a, b], 1))
case("split", [X(5, 3)], lambda x: x.split(2, 0))
case("split:sizes", [X(5, 3)], lambda x: x.split([2, 3], 0))
case("chunk", [X(5, 3)], lambda x: x.chunk(2, 0))
case("unbind", [X(2, 3)], lambda x: x.unbind(0))
case("masked_fill", [X(2, 3), B(2, 3)], lambda x, m: x.masked_fill(m, -1.5))
case("masked_fill_", [X(2, 3), B(2, 3)], lambda x, m: x.clone().masked_fill_(m, -1.5))
case("masked_select", [X(2, 3), B(2, 3)], lambda x, m: x.masked_select(m))

# Products and distances.
case("matmul", [X(2, 3, 4), X(4, 2)], torch.matmul)
case("mm", [X(3, 4), X(4, 2)], torch.mm)
case("bmm", [X(2, 3, 4), X(2, 4, 2)], torch.bmm)
case("mv", [X(3, 4), X(4)], torch.mv)
case("dot", [X(4), X(4)], torch.dot)
case("outer", [X(3), X(4)], torch.outer)
case("addmm", [X(3, 2), X(3, 4), X(4, 2)], lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2.0))
case("baddbmm", [X(2, 3, 2), X(2, 3, 4), X(2, 4, 2)], lambda c, a, b: torch.baddbmm(c, a, b, beta=0.5, alpha=2.0))
case("einsum", [X(2, 3), X(3, 4)], lambda a, b: torch.einsum("ij,jk->ik", a, b))
case("cdist", [X(3, 4), X(2, 4)], torch.cdist)
case("cdist:p1", [X(3, 4), X(2, 4)], lambda a, b: torch.cdist(a, b, 1.0))
case("linear", [X(3, 4), X(2, 4), X(2)], F.linear)
case("linear:no_bias", [X(3, 4), X(2, 4)], F.linear)
case("cosine_similarity", [X(3, 4), X(3, 4)], F.cosine_similarity)
case("pairwise_distance", [X(3, 4), X(3, 4)], F.pairwise_distance)

# Losses.
T = lambda *s: P(*s, low=0.05, high=0.95, grad=False)
for name in "mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy_with_logits".split():
    case(name, [X(3, 4), T(3, 4)], lambda x, y, n=name: getattr(F, n)(x, y))
    case(name + ":none", [X(3, 4), T(3, 4)], lambda x, y, n=name: getattr(F, n)(x, y, reduction="none"))
    case(name + ":sum", [X(3, 4), T(3, 4)], lambda x, y, n=name: getattr(F, n)(x, y, reduction="sum"))
case("smooth_l1_loss:beta", [X(3, 4), T(3, 4)], lambda x, y: F.smooth_l1_loss(x, y, beta=0.5))
case("huber_loss:delta", [X(3, 4), T(3, 4)], lambda x, y: F.huber_loss(x, y, delta=0.5))
case("binary_cross_entropy_with_logits:weights", [X(3, 4), T(3, 4), T(3, 4), T(4)],
     lambda x, y, w, p: F.binary_cross_entropy_with_logits(x, y, w, pos_weight=p))
case("binary_cross_entropy", [P(3, 4, low=0.05, high=0.95), T(3, 4)], F.binary_cross_entropy)
case("binary_cross_entropy:weight", [P(3, 4, low=0.05, high=0.95), T(3, 4), T(3, 4)], lambda x, y, w: F.binary_cross_entropy(x, y, w, reduction="sum"))
case("cross_entropy", [X(4, 3), I(4, high=3)], F.cross_entropy)
case("cross_entropy:soft", [X(4, 3), T(4, 3)], lambda x, y: F.cross_entropy(x, y, reduction="none"))
case("cross_entropy:options", [X(4, 3), torch.tensor([0, 2, 1, 2]), T(3)], lambda x, y, w: F.cross_entropy(x, y, w, ignore_index=1, label_smoothing=0.1))
case("nll_loss", [X(4, 3), I(4, high=3)], F.nll_loss)
case("kl_div", [X(3, 4), X(3, 4)], lambda x, y: F.kl_div(x, y, log_target=True, reduction="none").mean())
case("kl_div:linear", [X(3, 4), T(3, 4)], lambda x, y: F.kl_div(x, y, reduction="sum"))
case("margin_ranking_loss", [X(5), X(5), torch.tensor([1.0, -1, 1, 1, -1])], lambda a, b, y: F.margin_ranking_loss(a, b, y, margin=0.3))
case("cosine_embedding_loss", [X(3, 4), X(3, 4), torch.tensor([1.0, -1, 1])], lambda a, b, y: F.cosine_embedding_loss(a, b, y, margin=0.1))

# Normalisation, tables.
case("normalize", [X(3, 4)], F.normalize)
case("layer_norm", [X(3, 4), X(4), X(4)], lambda x, w, b: F.layer_norm(x, (4,), w, b))
case("batch_norm", [X(5, 3), X(3), X(3)], lambda x, w, b: norm(x, w, b, True))
case("batch_norm:eval", [X(5, 3), X(3), X(3)], lambda x, w, b: norm(x, w, b, False))
case("one_hot", [I(4)], lambda x: F.one_hot(x, 6))
case("dropout", [X(3, 4)], lambda x: F.dropout(x, 0.4))
case("dropout:inplace", [X(3, 4)], lambda x: F.dropout(x.clone(), 0.4, inplace=True))
case("Embedding", [X(5, 3), I(2, 2)], lambda w, i: F.embedding(i, w))

# Creation and random numbers.
for name in "zeros ones rand randn".split():
    case(name, [], lambda n=name: getattr(torch, n)(2, 3))
    case(name + "_like", [X(2, 2, grad=False)], lambda x, n=name: getattr(torch, n + "_like")(x))
case("empty", [], lambda: torch.empty(2, 3).fill_(1.0))
case("empty_like", [X(2, 2, grad=False)], lambda x: torch.empty_like(x).fill_(1.0))
case("full", [], lambda: torch.full((2, 3), 1.5))
case("full:integer", [], lambda: torch.full((2,), 3))
case("full_like", [X(2, 2, grad=False)], lambda x: torch.full_like(x, 1.5))
case("eye", [], lambda: torch.eye(2, 3))
case("arange", [], lambda: [torch.arange(4), torch.arange(1, 4), torch.arange(1.0, 4.0, 0.5)])
case("linspace", [], lambda: torch.linspace(0, 1, 5))
case("randint", [], lambda: torch.randint(2, 9, (5,)))
case("randperm", [], lambda: torch.randperm(6))
case("bernoulli", [T(6)], torch.bernoulli)
case("multinomial", [T(3, 4)], lambda p: torch.multinomial(p, 5, True))
for name in "zeros_ ones_ xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ uniform_ normal_".split():
    case("init." + name, [], lambda n=name: getattr(torch.nn.init, n)(torch.empty(3, 4)))
case("init.constant_", [], lambda: torch.nn.init.constant_(torch.empty(3, 4), 0.5))


def optimizer(name, make, dtype=torch.float32, steps=5):
    """Two parameters, one of which has no gradient in the second step."""
    p, q = X(5, 7).detach().to(dtype), X(4).detach().to(dtype)
    p.requires_grad_(), q.requires_grad_()
    record = {"name": name, "dtype": str(dtype).split(".")[1], "parameters": [plain(p), plain(q)], "grads": []}
    opt = make([p, q])
    for step in range(steps):
        p.grad, q.grad = X(5, 7).detach().to(dtype), X(4).detach().to(dtype)
        record["grads"].append([plain(p.grad), None if step == 1 else plain(q.grad)])
        if step == 1:
            q.grad = None
        opt.step()
    record["result"] = [plain(p), plain(q)]
    optimizers.append(record)


for kind in (torch.float32, torch.float64):
    suffix = "" if kind == torch.float32 else ":double"
    optimizer("SGD" + suffix, lambda ps: torch.optim.SGD(ps, lr=0.1), kind)
    optimizer("SGD.momentum" + suffix, lambda ps: torch.optim.SGD(ps, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01), kind)
    optimizer("SGD.nesterov" + suffix, lambda ps: torch.optim.SGD(ps, lr=0.1, momentum=0.9, nesterov=True, maximize=True), kind)
    optimizer("Adam" + suffix, lambda ps: torch.optim.Adam(ps, lr=0.01, betas=(0.9, 0.99)), kind)
    optimizer("Adam.decay" + suffix, lambda ps: torch.optim.Adam(ps, lr=0.01, betas=(0.8, 0.999), weight_decay=0.1, maximize=True), kind)
    optimizer("Adam.amsgrad" + suffix, lambda ps: torch.optim.Adam(ps, lr=0.01, betas=(0.9, 0.99), amsgrad=True), kind)
    optimizer("AdamW" + suffix, lambda ps: torch.optim.AdamW(ps, lr=0.01, betas=(0.9, 0.999), weight_decay=0.1), kind)
    optimizer("Adagrad" + suffix, lambda ps: torch.optim.Adagrad(ps, lr=0.1), kind)
    optimizer("Adagrad.options" + suffix, lambda ps: torch.optim.Adagrad(ps, lr=0.1, lr_decay=0.1, weight_decay=0.05, initial_accumulator_value=0.3), kind)

lines = ",\n".join(json.dumps(c) for c in cases), ",\n".join(json.dumps(o) for o in optimizers)
sys.stdout.write('{"torch": %s,\n"cases": [\n%s\n],\n"optimizers": [\n%s\n]}\n' % (json.dumps(torch.__version__.split("a")[0]), *lines))
