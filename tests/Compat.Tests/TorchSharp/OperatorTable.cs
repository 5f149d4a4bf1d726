using System.Reflection;
using System.Runtime.CompilerServices;
using TorchSharp;
using static TorchSharp.torch;

namespace KdServing.Compat.Tests.TorchSharp;

/// <summary>
/// How each golden case is called here. A case without an entry is called by reflection: every method, function or nn.functional
/// function of its name that takes the case's tensors and nothing else that is required.
/// </summary>
internal static partial class OperatorTable
{
    private static readonly List<OperatorCall> s_explicit = [.. Pointwise(), .. Reductions(), .. Shapes(), .. Networks(), .. Creation()];

    internal static IReadOnlyList<OperatorCall> CallsOf(GoldenCase golden)
    {
        var written = s_explicit.FindAll(c => c.Case == golden.Name);
        return written.Count > 0 ? written : [.. Reflected(golden)];
    }

    internal static IEnumerable<string> UnknownCases(GoldenFile file) =>
        s_explicit.Select(c => c.Case).Distinct().Except(file.Cases.Select(c => c.Name));

    internal static IEnumerable<Tensor> Flat(object result) => result switch
    {
        Tensor tensor => [tensor],
        bool value => [tensor(value)],
        IEnumerable<Tensor> tensors => tensors,
        ITuple tuple => Enumerable.Range(0, tuple.Length).Where(i => tuple[i] is not null).SelectMany(i => Flat(tuple[i]!)),
        _ => throw new InvalidOperationException($"A result of type {result.GetType()}."),
    };

    private static OperatorCall Method(string name, Func<Tensor[], object> call) => new(name, "Tensor." + OperatorOf(name), call);

    private static OperatorCall Function(string name, Func<Tensor[], object> call) => new(name, "torch." + OperatorOf(name), call);

    private static OperatorCall Functional(string name, Func<Tensor[], object> call) => new(name, "functional." + OperatorOf(name), call);

    /// <summary>A case that a member of another name answers.</summary>
    private static OperatorCall Member(string name, string member, Func<Tensor[], object> call) => new(name, member, call);

    internal static string OperatorOf(string name) => name.Split(':')[0];

    private static IEnumerable<OperatorCall> Reflected(GoldenCase golden)
    {
        var name = OperatorOf(golden.Name);
        var count = golden.Inputs.Count;
        foreach (var (owner, prefix) in new[] { (typeof(Tensor), "Tensor."), (typeof(torch), "torch."), (typeof(nn.functional), "functional.") })
        {
            var isMethod = owner == typeof(Tensor);
            var flags = BindingFlags.Public | BindingFlags.DeclaredOnly | (isMethod ? BindingFlags.Instance : BindingFlags.Static);
            var method = owner.GetMethods(flags).Where(m => m.Name == name && Takes(m, isMethod ? count - 1 : count)).MinBy(m => m.GetParameters().Length);
            if (method is not null)
                yield return new OperatorCall(golden.Name, prefix + name, inputs => Invoke(method, isMethod, inputs));
        }
    }

    private static bool Takes(MethodInfo method, int tensors)
    {
        var parameters = method.GetParameters();
        return tensors >= 0 && parameters.Length >= tensors
            && parameters.Take(tensors).All(p => p.ParameterType == typeof(Tensor)) && parameters.Skip(tensors).All(p => p.HasDefaultValue);
    }

    // In-place operators work on a copy: a leaf that wants a gradient can not be overwritten.
    private static object Invoke(MethodInfo method, bool isMethod, Tensor[] inputs)
    {
        var self = isMethod ? method.Name.EndsWith('_') ? inputs[0].clone() : inputs[0] : null;
        object?[] given = [.. inputs.Skip(isMethod ? 1 : 0)];
        return method.Invoke(self, [.. given, .. method.GetParameters().Skip(given.Length).Select(p => p.DefaultValue)])!;
    }
}

/// <summary>One way to compute a golden case: the case, the public member it exercises, the call.</summary>
internal sealed record OperatorCall(string Case, string Member, Func<Tensor[], object> Call);
