using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace KdServing.Compat.Tests.TorchSharp;

/// <summary>Five steps of every optimiser against PyTorch; state that survives saving; the norm that clipping gives.</summary>
[Collection(TorchCollection.Name)]
public sealed class OptimizerTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    public static TheoryData<string> Runs() => [.. GoldenFile.Committed.Optimizers.Select(o => o.Name)];

    [Theory]
    [MemberData(nameof(Runs))]
    public void Agrees_with_PyTorch_over_five_steps(string name)
    {
        var golden = GoldenFile.Committed.Optimizers.Single(o => o.Name == name);
        Parameter[] parameters = [.. golden.Parameters.Select(p => nn.Parameter(p.Create()))];
        using var optimizer = Create(name.Split(':')[0], parameters);
        foreach (var grads in golden.Grads)
            Step(optimizer, parameters, grads);
        for (var i = 0; i < parameters.Length; i++)
            golden.Result[i].AssertEquals(parameters[i], $"{name}, parameter {i}");
    }

    // Saved after three steps and loaded into a fresh optimiser, the last two steps come out the same.
    [Theory]
    [MemberData(nameof(Runs))]
    public void State_survives_a_stream(string name)
    {
        var golden = GoldenFile.Committed.Optimizers.Single(o => o.Name == name);
        Parameter[] parameters = [.. golden.Parameters.Select(p => nn.Parameter(p.Create()))];
        using var stream = new MemoryStream();
        using (var first = Create(name.Split(':')[0], parameters))
        {
            foreach (var grads in golden.Grads.Take(3))
                Step(first, parameters, grads);
            using var writer = new BinaryWriter(stream, System.Text.Encoding.UTF8, leaveOpen: true);
            first.save_state_dict(writer);
        }
        stream.Position = 0;
        using var second = Create(name.Split(':')[0], parameters);
        using (var reader = new BinaryReader(stream))
            second.load_state_dict(reader);
        foreach (var grads in golden.Grads.Skip(3))
            Step(second, parameters, grads);
        for (var i = 0; i < parameters.Length; i++)
            golden.Result[i].AssertEquals(parameters[i], $"{name}, parameter {i}");
    }

    [Fact]
    public void State_of_another_optimiser_is_refused()
    {
        using var adam = optim.Adam([nn.Parameter(zeros(3))]);
        using var sgd = optim.SGD([nn.Parameter(zeros(3))], 0.1);
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        adam.save_state_dict(writer);
        stream.Position = 0;
        using var reader = new BinaryReader(stream);
        var error = Assert.Throws<InvalidDataException>(() => sgd.load_state_dict(reader));
        Assert.Contains("SGD", error.Message);
        Assert.Contains("Adam", error.Message);
    }

    [Fact]
    public void Groups_have_settings_of_their_own()
    {
        var (fast, slow) = (nn.Parameter(zeros(2)), nn.Parameter(zeros(2)));
        using var optimizer = optim.SGD(
            [new SGD.ParamGroup([fast], new SGD.Options { LearningRate = 1 }), new SGD.ParamGroup { Parameters = [slow] }], 0.1);
        (fast.grad, slow.grad) = (ones(2), ones(2));
        optimizer.step();
        Assert.Equal([-1f, -1f], fast.data<float>().ToArray());
        Assert.Equal([-0.1f, -0.1f], slow.data<float>().ToArray());
        optimizer.ParamGroups.Last().LearningRate = 1;
        optimizer.step();
        Assert.Equal([-1.1f, -1.1f], slow.data<float>().ToArray());
    }

    [Fact]
    public void The_same_parameter_twice_is_refused()
    {
        var parameter = nn.Parameter(zeros(2));
        Assert.Throws<ArgumentException>(() => optim.Adam([parameter, parameter]));
    }

    [Fact]
    public void Clipping_gives_the_norm_before_and_bounds_it()
    {
        var (a, b) = (nn.Parameter(zeros(2)), nn.Parameter(zeros(1)));
        (a.grad, b.grad) = (tensor(new[] { 3f, 4f }), tensor(new[] { 12f }));
        Assert.Equal(13, nn.utils.clip_grad_norm_([a, b], 1.3), 1e-6);
        GoldenTensor.AssertClose([0.3, 0.4], GoldenTensor.Doubles(a.grad!), 1e-6, "a");
        GoldenTensor.AssertClose([1.2], GoldenTensor.Doubles(b.grad!), 1e-6, "b");
        Assert.Equal(1.3, nn.utils.clip_grad_norm_([a, b], 100), 1e-5);
        nn.utils.clip_grad_value_([a, b], 0.35);
        GoldenTensor.AssertClose([0.3, 0.35], GoldenTensor.Doubles(a.grad!), 1e-6, "a");
    }

    [Fact]
    public void A_closure_gives_the_loss_and_its_gradients()
    {
        var parameter = nn.Parameter(tensor(new[] { 2f }));
        using var optimizer = optim.SGD([parameter], 0.25);
        var loss = optimizer.step(() =>
        {
            optimizer.zero_grad();
            var value = (parameter * parameter).sum();
            value.backward();
            return value;
        });
        Assert.Equal(4, loss!.item<float>());
        Assert.Equal(1, parameter.item<float>());
    }

    private static void Step(OptimizerHelper optimizer, Parameter[] parameters, List<GoldenTensor?> grads)
    {
        for (var i = 0; i < parameters.Length; i++)
            parameters[i].grad = grads[i]?.Create();
        optimizer.step();
    }

    private static OptimizerHelper Create(string name, Parameter[] parameters) => name switch
    {
        "SGD" => optim.SGD(parameters, 0.1),
        "SGD.momentum" => optim.SGD(parameters, 0.1, 0.9, 0.1, 0.01),
        "SGD.nesterov" => optim.SGD(parameters, 0.1, 0.9, nesterov: true, maximize: true),
        "Adam" => optim.Adam(parameters, 0.01),
        "Adam.decay" => optim.Adam(parameters, 0.01, 0.8, 0.999, weight_decay: 0.1, maximize: true),
        "Adam.amsgrad" => optim.Adam(parameters, 0.01, amsgrad: true),
        "AdamW" => optim.AdamW(parameters, 0.01, weight_decay: 0.1),
        "Adagrad" => optim.Adagrad(parameters, 0.1),
        "Adagrad.options" => optim.Adagrad(parameters, 0.1, 0.1, 0.05, 0.3),
        _ => throw new ArgumentException(name),
    };
}
