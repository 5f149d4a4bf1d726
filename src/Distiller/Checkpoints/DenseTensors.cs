using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Distiller.Students;
using static TorchSharp.torch;

namespace KdServing.Distiller.Checkpoints;

/// <summary>Weights of a student as named float arrays, and back.</summary>
internal static class DenseTensors
{
    private const string Prefix = "dense.";

    /// <summary>A parameter's name in a file.</summary>
    public static string Name(string parameter) => $"{Prefix}{parameter}";

    public static List<(string Name, long[] Shape, float[] Values)> Copy(Student student) =>
        [.. student.named_parameters().Select(p => ($"{Prefix}{p.name}", p.parameter.shape, Floats(p.parameter)))];

    /// <exception cref="ContractException">The file is of another student.</exception>
    public static void Restore(SafetensorsFile file, Student student)
    {
        foreach (var (name, parameter) in student.named_parameters())
            Restore(file, $"{Prefix}{name}", parameter);
    }

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
}
