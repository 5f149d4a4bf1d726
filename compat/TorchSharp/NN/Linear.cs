using TorchSharp.Interop;
using TorchSharp.Modules;

namespace TorchSharp.Modules
{
    /// <summary>y = x · Wᵀ + b; weight [out, in], bias [out].</summary>
    public sealed class Linear : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private Parameter _weight = null!;
        private Parameter? _bias;

        internal Linear(Parameter weight, Parameter? bias = null) : base(nameof(Linear))
        {
            this.weight = weight;
            this.bias = bias;
        }

        internal Linear(long inputSize, long outputSize, bool hasBias, torch.Device? device, torch.ScalarType? dtype) : base(nameof(Linear))
        {
            weight = new Parameter(torch.empty(outputSize, inputSize, dtype, device));
            torch.nn.init.kaiming_uniform_(weight, Math.Sqrt(5));
            if (!hasBias)
                return;
            bias = new Parameter(torch.empty(outputSize, dtype, device));
            var bound = inputSize > 0 ? 1 / Math.Sqrt(inputSize) : 0;
            torch.nn.init.uniform_(bias, -bound, bound);
        }

        public long in_features => weight.size(1);

        public long out_features => weight.size(0);

        public Parameter weight
        {
            get => _weight;
            set
            {
                if (!ReferenceEquals(_weight, value))
                    _weight?.Dispose();
                _weight = value;
                ConditionallyRegisterParameter(nameof(weight), value);
            }
        }

        public Parameter? bias
        {
            get => _bias;
            set
            {
                if (!ReferenceEquals(_bias, value))
                    _bias?.Dispose();
                _bias = value;
                ConditionallyRegisterParameter(nameof(bias), value);
            }
        }

        public override torch.Tensor forward(torch.Tensor tensor) => torch.nn.functional.linear(tensor, weight, bias);
    }
}

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class nn
        {
            public static Linear Linear(long inputSize, long outputSize, bool hasBias = true, Device? device = null, ScalarType? dtype = null) =>
                new(inputSize, outputSize, hasBias, device, dtype);

            public static Linear Linear(Parameter weight, Parameter? bias = null) => new(weight, bias);

            public static partial class functional
            {
                /// <summary>input [.., in] by weights [out, in] gives [.., out].</summary>
                public static Tensor linear(Tensor input, Tensor weights, Tensor? bias = null) => Aten.linear.Call(input, weights, bias);
            }
        }
    }
}
