using System.Diagnostics;
using System.Reflection;
using System.Text;
using TorchSharp;
using TorchSharp.Interop;
using static TorchSharp.torch;

namespace KdServing.Compat.Tests.TorchSharp;

/// <summary>Every bound operator against PyTorch: values, element types, shapes and gradients.</summary>
[Collection(TorchCollection.Name)]
public sealed class OperatorParityTests
{
    // What returns tensors without being an operator on them.
    private static readonly string[] s_notOperators =
    [
        "Tensor.alias", "Tensor.get_grad", "Tensor.MoveToOuterDisposeScope", "Tensor.MoveToOtherDisposeScope", "Tensor.DetachFromDisposeScope",
        "Tensor.requires_grad_", "Tensor.with_requires_grad", "Tensor.cuda", "torch.tensor", "torch.frombuffer",
    ];

    public static TheoryData<string> Cases() => [.. GoldenFile.Committed.Cases.Select(c => c.Name)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Agrees_with_PyTorch(string name)
    {
        var golden = GoldenFile.Committed.Cases.Single(c => c.Name == name);
        var calls = OperatorTable.CallsOf(golden);
        Assert.NotEmpty(calls);
        foreach (var call in calls)
            Check(golden, call);
    }

    [Fact]
    public void The_table_names_only_cases_that_exist() => Assert.Empty(OperatorTable.UnknownCases(GoldenFile.Committed));

    [Fact]
    public void Every_public_operator_is_in_the_table()
    {
        var exercised = GoldenFile.Committed.Cases.SelectMany(OperatorTable.CallsOf).Select(c => c.Member).ToHashSet();
        var offered = Offered(typeof(Tensor), "Tensor.").Concat(Offered(typeof(torch), "torch.")).Concat(Offered(typeof(nn.functional), "functional."))
            .Concat(Offered(typeof(nn.init), "init.")).ToHashSet();
        Assert.True(offered.Count > 300, $"only {offered.Count} operators found by reflection");
        Assert.Empty(offered.Except(exercised).Except(s_notOperators).Order());
    }

    [Fact]
    public void Every_bound_ATen_operator_is_called_by_the_table()
    {
        var operators = typeof(Aten).GetFields(BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public).Select(f => (Operator)f.GetValue(null)!).ToList();
        var before = operators.ConvertAll(o => o.Calls);
        foreach (var golden in GoldenFile.Committed.Cases)
            foreach (var call in OperatorTable.CallsOf(golden))
                Check(golden, call);
        Assert.Empty(operators.Where((o, i) => o.Calls == before[i]).Select(o => o.Name));
    }

    /// <summary>The committed file is what the generator beside it gives with the PyTorch installed here.</summary>
    [Fact]
    public async Task The_golden_file_is_what_PyTorch_says_now()
    {
        var start = new ProcessStartInfo("/usr/bin/python3", [Path.Combine(GoldenFile.Folder(), "pytorch_golden.py")])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
        };
        using var python = Process.Start(start)!;
        var errors = python.StandardError.ReadToEndAsync();
        var output = await python.StandardOutput.ReadToEndAsync();
        await python.WaitForExitAsync();
        Assert.True(python.ExitCode == 0, $"The generator needs Debian's python3-torch (./kd setup installs it): {await errors}");
        var now = GoldenFile.Parse(output);
        Assert.Equal(GoldenFile.Committed.Cases.Select(c => c.Name), now.Cases.Select(c => c.Name));
        foreach (var (committed, fresh) in GoldenFile.Committed.Cases.Zip(now.Cases))
        {
            AssertSame(committed.Outputs, fresh.Outputs, committed.Name);
            AssertSame(committed.Grads ?? [], fresh.Grads ?? [], committed.Name + ", gradients");
        }
        foreach (var (committed, fresh) in GoldenFile.Committed.Optimizers.Zip(now.Optimizers))
            AssertSame(committed.Result, fresh.Result, committed.Name);
    }

    private static void AssertSame(IEnumerable<GoldenTensor?> committed, IEnumerable<GoldenTensor?> fresh, string name)
    {
        foreach (var (left, right) in committed.Zip(fresh))
            GoldenTensor.AssertClose(left?.Numbers ?? [], right?.Numbers ?? [], 1e-5, name);
    }

    private static void Check(GoldenCase golden, OperatorCall call)
    {
        var what = $"{golden.Name} by {call.Member}";
        using var scope = NewDisposeScope();
        Tensor[] inputs = [.. golden.Inputs.Select(i => i.Create())];
        manual_seed(7);
        Tensor[] outputs = [.. OperatorTable.Flat(call.Call(inputs))];
        Assert.True(golden.Outputs.Count == outputs.Length, $"{what}: {outputs.Length} results, PyTorch has {golden.Outputs.Count}");
        for (var i = 0; i < outputs.Length; i++)
            golden.Outputs[i].AssertEquals(outputs[i], $"{what}, result {i}");
        // A variant that writes into a given tensor can not be differentiated; its twin without is.
        if (golden.Grads is not null && outputs.Any(o => o.requires_grad))
            CheckGradients(golden, inputs, outputs, what);
    }

    private static void CheckGradients(GoldenCase golden, Tensor[] inputs, Tensor[] outputs, string what)
    {
        Tensor[] roots = [.. outputs.Where(o => o.requires_grad)];
        Tensor[] leaves = [.. inputs.Where(i => i.requires_grad)];
        var grads = autograd.grad(roots, leaves, [.. roots.Select(Weights)], allow_unused: true);
        Assert.Equal(golden.Grads!.Count, grads.Count);
        for (var i = 0; i < leaves.Length; i++)
        {
            Assert.True(golden.Grads[i] is null == grads[i] is null, $"{what}: gradient {i} missing on one side");
            golden.Grads[i]?.AssertEquals(grads[i], $"{what}, gradient {i}");
        }
    }

    // As in pytorch_golden.py.
    private static Tensor Weights(Tensor output) =>
        (((arange(output.numel()) * 7).remainder(11) - 5).to(output.dtype) / 5).reshape(output.shape);

    private static IEnumerable<string> Offered(Type type, string prefix) =>
        type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly)
            .Where(m => Tensors(m.ReturnType) || m.Name is "equal" or "allclose").Select(m => prefix + m.Name);

    private static bool Tensors(Type type) => type == typeof(Tensor) || type == typeof(Tensor[])
        || (type.IsGenericType && type.Name.StartsWith("ValueTuple", StringComparison.Ordinal) && type.GetGenericArguments().All(Tensors));
}
