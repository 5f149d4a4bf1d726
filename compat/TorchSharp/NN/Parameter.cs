namespace TorchSharp.Modules
{
    /// <summary>A tensor that a module lists among its parameters and an optimiser updates.</summary>
    public class Parameter : torch.Tensor
    {
        /// <summary>Takes over <paramref name="data"/>, which is empty afterwards, and its place in its dispose scope.</summary>
        public Parameter(torch.Tensor data, bool requires_grad = true)
            : this(data.with_requires_grad(requires_grad), data.OwningDisposeScope)
        {
        }

        private Parameter(torch.Tensor data, DisposeScope? scope) : base(data.MoveHandle())
        {
            // The base constructor put it into the thread's current scope; it belongs where the data was.
            OwningDisposeScope?.Detach(this);
            scope?.Include(this);
        }
    }
}

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class nn
        {
            public static Modules.Parameter Parameter(Tensor data, bool requires_grad = true) => new(data, requires_grad);
        }
    }
}
