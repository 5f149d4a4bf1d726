using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static Tensor relu(Tensor input) => input.relu();

    public partial class Tensor
    {
        public Tensor relu() => Aten.relu.Call(this);

        public Tensor gelu() => Aten.gelu.Call(this);

        public Tensor leaky_relu(Scalar negative_slope) => Aten.leaky_relu.Call(this, negative_slope);
    }

    public static partial class nn
    {
        public static partial class functional
        {
            public static Tensor relu(Tensor input, bool inplace = false) => inplace ? input.relu_() : input.relu();

            public static Tensor leaky_relu(Tensor input, double negative_slope = 0.01, bool inplace = false) => Kept(input, Aten.leaky_relu.Call(input, negative_slope), inplace);

            public static Tensor elu(Tensor input, double alpha = 1.0, bool inplace = false) => Kept(input, Aten.elu.Call(input, alpha), inplace);

            /// <summary>x · Φ(x), exact.</summary>
            public static Tensor gelu(Tensor x, bool inplace = false) => Kept(x, Aten.gelu.Call(x), inplace);

            public static Tensor silu(Tensor input, bool inplace = false) => Kept(input, Aten.silu.Call(input), inplace);

            public static Tensor mish(Tensor input, bool inplace = false) => Kept(input, Aten.mish.Call(input), inplace);

            public static Tensor sigmoid(Tensor input, bool inplace = false) => inplace ? input.sigmoid_() : input.sigmoid();

            public static Tensor tanh(Tensor input, bool inplace = false) => inplace ? input.tanh_() : input.tanh();

            public static Tensor softplus(Tensor input, double beta = 1.0, double threshold = 20.0) => Aten.softplus.Call(input, beta, threshold);

            public static Tensor logsigmoid(Tensor input) => Aten.log_sigmoid.Call(input);

            public static Tensor hardtanh(Tensor input, double min_val = -1.0, double max_val = 1.0, bool inplace = false) => Kept(input, Aten.hardtanh.Call(input, min_val, max_val), inplace);

            public static Tensor softmax(Tensor input, long dim, ScalarType? dtype = null) => input.softmax(dim, dtype);

            public static Tensor log_softmax(Tensor input, long dim, ScalarType? dtype = null) => input.log_softmax(dim, dtype);

            public static Tensor dropout(Tensor input, double p = 0.5, bool training = true, bool inplace = false) =>
                inplace ? Aten.dropout_.Call(input, p, training) : Aten.dropout.Call(input, p, training);

            private static Tensor Kept(Tensor input, Tensor result, bool inplace)
            {
                if (!inplace)
                    return result;
                using (result)
                    return input.copy_(result);
            }
        }
    }
}
