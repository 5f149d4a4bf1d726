using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Distiller.Students;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace KdServing.Distiller.Checkpoints;

/// <summary>Weights of a student as named float arrays, and back.</summary>
internal static class DenseTensors
{
    private const string Prefix = "dense.";

    public static List<(string Name, long[] Shape, float[] Values)> Copy(IEnumerable<(string Name, Parameter Parameter)> parameters) =>
        [.. parameters.Select(p => ($"{Prefix}{p.Name}", p.Parameter.shape, Floats(p.Parameter)))];

    /// <exception cref="ContractException">The file is of another student.</exception>
    public static void Restore(SafetensorsFile file, IEnumerable<(string Name, Parameter Parameter)> parameters)
    {
        foreach (var (name, parameter) in parameters)
            Restore(file, $"{Prefix}{name}", parameter);
    }

    public static List<(string Name, long[] Shape, float[] Values)> Copy(Student student) => Copy(Named(student));

    /// <exception cref="ContractException">The file is of another student.</exception>
    public static void Restore(SafetensorsFile file, Student student) => Restore(file, Named(student));

    /// <exception cref="ContractException">No such tensor, or of another shape.</exception>
    public static void Restore(SafetensorsFile file, string name, Tensor into)
    {
        using var quiet = no_grad();
        using var scope = NewDisposeScope();
        into.copy_(tensor(file.Read(name, into.shape), into.shape));
    }

    public static float[] Floats(Tensor tensor)
    {
        using var dense = tensor.detach().cpu();
        return MemoryMarshal.Cast<byte, float>(dense.bytes).ToArray();
    }

    private static IEnumerable<(string Name, Parameter Parameter)> Named(Student student) =>
        student.named_parameters().Select(p => (p.name, p.parameter));
}
