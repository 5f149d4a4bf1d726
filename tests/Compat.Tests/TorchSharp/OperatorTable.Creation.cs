using static TorchSharp.torch;

namespace KdServing.Compat.Tests.TorchSharp;

internal static partial class OperatorTable
{
    private static IEnumerable<OperatorCall> Creation() =>
    [
        .. Sized("zeros", () => zeros(2, 3), () => zeros([2, 3])),
        .. Sized("ones", () => ones(2, 3), () => ones([2, 3])),
        .. Sized("rand", () => rand(2, 3), () => rand([2, 3])),
        .. Sized("randn", () => randn(2, 3), () => randn([2, 3])),
        .. Sized("empty", () => empty(2, 3).fill_(1), () => empty([2, 3]).fill_(1)),
        Function("empty_like", t => empty_like(t[0]).fill_(1)),
        .. Sized("full", () => full(2, 3, 1.5), () => full([2, 3], 1.5)),
        Function("full:integer", _ => full(2, 3)),
        Function("full_like", t => full_like(t[0], 1.5)),
        Function("eye", _ => eye(2, 3)),
        Function("arange", _ => new[] { arange(4), arange(1, 4), arange(1.0, 4.0, 0.5) }),
        Function("linspace", _ => linspace(0, 1, 5)),
        Function("randint", _ => randint(2, 9, [5])),
        Function("randperm", _ => randperm(6)),
        Function("multinomial", t => multinomial(t[0], 5, true)),
        Initialised("zeros_", nn.init.zeros_),
        Initialised("ones_", nn.init.ones_),
        Initialised("constant_", t => nn.init.constant_(t, 0.5)),
        Initialised("uniform_", t => nn.init.uniform_(t)),
        Initialised("normal_", t => nn.init.normal_(t)),
        Initialised("xavier_uniform_", t => nn.init.xavier_uniform_(t)),
        Initialised("xavier_normal_", t => nn.init.xavier_normal_(t)),
        Initialised("kaiming_uniform_", t => nn.init.kaiming_uniform_(t)),
        Initialised("kaiming_normal_", t => nn.init.kaiming_normal_(t)),
    ];

    private static IEnumerable<OperatorCall> Sized(string name, Func<Tensor> dimensions, Func<Tensor> shape) =>
        [Function(name, _ => dimensions()), Function(name, _ => shape())];

    private static OperatorCall Initialised(string name, Func<Tensor, Tensor> fill) =>
        new("init." + name, "init." + name, _ => fill(empty(3, 4)));
}
