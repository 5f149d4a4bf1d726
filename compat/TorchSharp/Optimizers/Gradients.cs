using TorchSharp.Interop;

namespace TorchSharp.Modules;

/// <summary>The handles of the parameters that have a gradient, beside those of the gradients; freed by <see cref="Gradients.Dispose"/>.</summary>
internal readonly ref struct Gradients
{
    private readonly nint[] _grads;

    public Gradients(Parameter[] parameters)
    {
        Parameters = new nint[parameters.Length];
        _grads = new nint[parameters.Length];
        for (var i = 0; i < parameters.Length; i++)
        {
            Parameters[i] = parameters[i].Handle;
            NativeMethods.Check(NativeMethods.kd_tensor_grad(Parameters[i], out _grads[i]));
        }
    }

    public nint[] Parameters { get; }

    public nint[] Handles => _grads;

    public void Dispose()
    {
        foreach (var grad in _grads)
            NativeMethods.kd_tensor_free(grad);
    }
}
