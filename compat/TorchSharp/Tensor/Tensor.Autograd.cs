using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        public bool requires_grad
        {
            get => NativeMethods.kd_tensor_requires_grad(Handle) != 0;
            set => NativeMethods.Check(NativeMethods.kd_tensor_set_requires_grad(Handle, value ? 1 : 0));
        }

        public Tensor requires_grad_(bool requires_grad = true)
        {
            this.requires_grad = requires_grad;
            return this;
        }

        public Tensor with_requires_grad(bool requires_grad = true) => requires_grad_(requires_grad);

        public bool is_leaf => NativeMethods.kd_tensor_is_leaf(Handle) != 0;

        /// <summary>Makes backward keep the gradient of a tensor that is not a leaf.</summary>
        public void retain_grad() => NativeMethods.Check(NativeMethods.kd_tensor_retain_grad(Handle));

        /// <summary>The accumulated gradient, a handle of its own at every read; null before the first backward.</summary>
        public Tensor? grad
        {
            get
            {
                NativeMethods.Check(NativeMethods.kd_tensor_grad(Handle, out var result));
                return result == 0 ? null : new Tensor(result);
            }
            set
            {
                NativeMethods.Check(NativeMethods.kd_tensor_set_grad(Handle, value?.Handle ?? 0));
                GC.KeepAlive(value);
            }
        }

        /// <summary>Accumulates the gradients of this one-element tensor in the leaves it depends on.</summary>
        public void backward() => autograd.backward([this]);

        public void backward(IList<Tensor>? grad_tensors = null, bool create_graph = false, bool retain_graph = false, IList<Tensor>? inputs = null) =>
            autograd.backward([this], grad_tensors, create_graph, retain_graph, inputs);
    }

    /// <summary>No graph is recorded until the result is disposed; the thread's former mode comes back then.</summary>
    public static IDisposable no_grad() => new AutoGradMode(false);

    public static IDisposable enable_grad(bool enabled = true) => new AutoGradMode(enabled);

    public static IDisposable set_grad_enabled(bool mode = true) => new AutoGradMode(mode);

    public static bool is_grad_enabled() => AutoGradMode.IsAutogradEnabled();

    public static partial class autograd
    {
        /// <summary>Gradients of the outputs with respect to the inputs, without touching anyone's <c>grad</c>.</summary>
        public static unsafe IList<Tensor> grad(IList<Tensor> outputs, IList<Tensor> inputs, IList<Tensor>? grad_outputs = null,
            bool retain_graph = false, bool create_graph = false, bool allow_unused = false)
        {
            nint[] roots = Handles(outputs), leaves = Handles(inputs);
            var seeds = grad_outputs is null ? null : Handles(grad_outputs);
            if (seeds is not null && seeds.Length != roots.Length)
                throw new ArgumentException($"{roots.Length} outputs but {seeds.Length} grad_outputs.", nameof(grad_outputs));
            var results = new nint[leaves.Length];
            fixed (nint* r = roots, l = leaves, s = seeds, o = results)
                NativeMethods.Check(NativeMethods.kd_grad(r, roots.Length, l, leaves.Length, s, retain_graph || create_graph ? 1 : 0, create_graph ? 1 : 0, allow_unused ? 1 : 0, o));
            GC.KeepAlive(outputs);
            GC.KeepAlive(inputs);
            GC.KeepAlive(grad_outputs);
            return [.. results.Select(h => h == 0 ? null! : new Tensor(h))];
        }

        /// <summary>Accumulates gradients in the leaves, or in <paramref name="inputs"/> only when given.</summary>
        public static unsafe void backward(IList<Tensor> tensors, IList<Tensor>? grad_tensors = null, bool create_graph = false, bool retain_graph = false, IList<Tensor>? inputs = null)
        {
            var roots = Handles(tensors);
            var seeds = grad_tensors is null ? null : Handles(grad_tensors);
            var leaves = inputs is null ? [] : Handles(inputs);
            if (seeds is not null && seeds.Length != roots.Length)
                throw new ArgumentException($"{roots.Length} tensors but {seeds.Length} grad_tensors.", nameof(grad_tensors));
            fixed (nint* r = roots, s = seeds, l = leaves)
                NativeMethods.Check(NativeMethods.kd_backward(r, roots.Length, s, retain_graph || create_graph ? 1 : 0, create_graph ? 1 : 0, l, leaves.Length));
            GC.KeepAlive(tensors);
            GC.KeepAlive(grad_tensors);
            GC.KeepAlive(inputs);
        }

        private static nint[] Handles(IList<Tensor> tensors)
        {
            var handles = new nint[tensors.Count];
            for (var i = 0; i < handles.Length; i++)
                handles[i] = tensors[i]?.Handle ?? 0;
            return handles;
        }
    }
}

/// <summary>Sets whether this thread records autograd graphs, until disposed.</summary>
internal sealed class AutoGradMode : IDisposable
{
    private readonly bool _before;

    public AutoGradMode(bool enabled)
    {
        _before = IsAutogradEnabled();
        NativeMethods.kd_set_grad_enabled(enabled ? 1 : 0);
    }

    public static bool IsAutogradEnabled() => NativeMethods.kd_grad_enabled() != 0;

    public void Dispose() => NativeMethods.kd_set_grad_enabled(_before ? 1 : 0);
}
