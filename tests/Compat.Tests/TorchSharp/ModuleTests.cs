using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace KdServing.Compat.Tests.TorchSharp;

/// <summary>Names, state, modes and types of modules.</summary>
[Collection(TorchCollection.Name)]
public sealed class ModuleTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void Fields_give_the_parts_their_names()
    {
        using var net = new Net();
        Assert.Equal(["first.bias", "first.weight", "scale", "tail.0.weight", "tail.1.bias", "tail.1.weight"],
            net.named_parameters().Select(p => p.name).Order(StringComparer.Ordinal));
        Assert.Equal(["offset", "tail.1.num_batches_tracked", "tail.1.running_mean", "tail.1.running_var"], net.named_buffers().Select(b => b.name).Order(StringComparer.Ordinal));
        Assert.Equal(["first", "tail"], net.named_children().Select(c => c.name).Order(StringComparer.Ordinal));
        Assert.Equal(10, net.state_dict().Count);
        Assert.True(net.has_parameter("tail.0.weight"));
        Assert.Same(net.get_parameter("scale"), net.parameters().Single(p => p.numel() == 1));
    }

    [Fact]
    public void State_copies_from_one_to_another()
    {
        using var left = new Net();
        using var right = new Net();
        var x = randn(5, 3);
        Assert.False(left.call(x).allclose(right.call(x)));
        right.load_state_dict(left.state_dict());
        left.eval();
        right.eval();
        Assert.True(left.call(x).equal(right.call(x)));
    }

    [Fact]
    public void State_that_does_not_fit_is_refused_with_the_names()
    {
        using var net = new Net();
        var state = net.state_dict();
        state.Remove("scale");
        state.Add("extra", ones(1));
        var error = Assert.Throws<InvalidOperationException>(() => net.load_state_dict(state));
        Assert.Contains("scale", error.Message);
        Assert.Contains("extra", error.Message);
        var (missing, unexpected) = net.load_state_dict(state, strict: false);
        Assert.Equal(["scale"], missing);
        Assert.Equal(["extra"], unexpected);
    }

    [Fact]
    public void Modes_reach_all_parts()
    {
        using var net = new Net();
        Assert.All(net.modules(), m => Assert.True(m.training));
        net.eval();
        Assert.All(net.modules(), m => Assert.False(m.training));
        using var dropout = nn.Dropout(0.5);
        dropout.eval();
        Assert.Equal(100, dropout.call(ones(100)).sum().item<float>());
    }

    [Fact]
    public void Batch_normalisation_learns_its_statistics_in_training_only()
    {
        using var norm = nn.BatchNorm1d(2, momentum: 0.5);
        var x = tensor(new float[] { 1, 10, 3, 30 }, [2, 2]);
        norm.call(x);
        Assert.Equal([1f, 10], norm.running_mean!.data<float>().ToArray());
        Assert.Equal(1, norm.num_batches_tracked!.ToInt64());
        norm.eval();
        norm.call(x);
        Assert.Equal([1f, 10], norm.running_mean!.data<float>().ToArray());
        Assert.Throws<ArgumentException>(() => norm.call(ones(3)));
    }

    [Fact]
    public void Changing_the_type_keeps_the_parameters_the_optimiser_holds()
    {
        using var net = new Net();
        using var optimizer = optim.SGD(net.parameters(), 0.1);
        net.to(ScalarType.Float64);
        Assert.All(net.parameters(), p => Assert.Equal(ScalarType.Float64, p.dtype));
        Assert.Equal(ScalarType.Int64, net.get_buffer("tail.1.num_batches_tracked")!.dtype);
        var before = net.get_parameter("scale")!.ToDouble();
        net.call(randn(5, 3, float64)).square().sum().backward();
        optimizer.step();
        Assert.NotEqual(before, net.get_parameter("scale")!.ToDouble());
    }

    [Fact]
    public void Gradients_clear_to_nothing_or_to_zero()
    {
        using var linear = nn.Linear(2, 1);
        linear.call(ones(1, 2)).sum().backward();
        linear.zero_grad(set_to_none: false);
        Assert.Equal([0f, 0], linear.weight.grad!.data<float>().ToArray());
        linear.zero_grad();
        Assert.Null(linear.weight.grad);
    }

    [Fact]
    public void A_name_is_given_once()
    {
        using var net = new Net();
        Assert.Throws<InvalidOperationException>(() => net.register_parameter("scale", nn.Parameter(ones(1))));
        Assert.Throws<InvalidOperationException>(() => net.register_buffer("offset", ones(1)));
        Assert.Throws<ArgumentException>(() => net.register_module("a.b", nn.Identity()));
    }

    [Fact]
    public void Activations_are_their_functions()
    {
        var x = randn(3, 4);
        (nn.Module<Tensor, Tensor>, Tensor)[] pairs =
        [
            (nn.ReLU(), x.relu()), (nn.Sigmoid(), x.sigmoid()), (nn.Tanh(), x.tanh()), (nn.SiLU(), x.silu()), (nn.GELU(), x.gelu()),
            (nn.LeakyReLU(0.2), x.leaky_relu(0.2)), (nn.ELU(), nn.functional.elu(x)), (nn.Mish(), nn.functional.mish(x)),
            (nn.Softplus(), nn.functional.softplus(x)), (nn.LogSigmoid(), nn.functional.logsigmoid(x)), (nn.Softmax(1), x.softmax(1)),
            (nn.LogSoftmax(1), x.log_softmax(1)), (nn.Identity(), x),
        ];
        Assert.All(pairs, pair => Assert.True(pair.Item1.call(x).equal(pair.Item2), pair.Item1.GetName()));
    }

    [Fact]
    public void A_list_registers_by_position()
    {
        using var list = nn.ModuleList(nn.Linear(1, 2), nn.Linear(2, 3));
        Assert.Equal(["0.weight", "0.bias", "1.weight", "1.bias"], list.named_parameters().Select(p => p.name));
        Assert.Equal([2, 3], list.Select(l => l.out_features));
    }

    private sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly Linear first = nn.Linear(3, 4);
        private readonly Sequential tail = nn.Sequential(nn.Linear(4, 2, hasBias: false), nn.BatchNorm1d(2));
        private readonly Parameter scale = nn.Parameter(rand(1));
        private readonly Tensor offset = rand(1);

        internal Net() : base(nameof(Net)) => RegisterComponents();

        public override Tensor forward(Tensor input) => tail.call(first.call(input).relu()) * scale + offset;
    }
}
