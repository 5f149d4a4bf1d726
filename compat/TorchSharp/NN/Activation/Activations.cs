using TorchSharp.Modules;

namespace TorchSharp.Modules
{
    /// <summary>max(0, x).</summary>
    public sealed class ReLU : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly bool _inplace;

        internal ReLU(bool inplace) : base(nameof(ReLU))
        {
            _inplace = inplace;
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.relu(input, _inplace);
    }

    /// <summary>x where positive, else slope · x.</summary>
    public sealed class LeakyReLU : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly double _negative_slope;
        private readonly bool _inplace;

        internal LeakyReLU(double negative_slope, bool inplace) : base(nameof(LeakyReLU))
        {
            (_negative_slope, _inplace) = (negative_slope, inplace);
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.leaky_relu(input, _negative_slope, _inplace);
    }

    /// <summary>x where positive, else α · (eˣ − 1).</summary>
    public sealed class ELU : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly double _alpha;
        private readonly bool _inplace;

        internal ELU(double alpha, bool inplace) : base(nameof(ELU))
        {
            (_alpha, _inplace) = (alpha, inplace);
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.elu(input, _alpha, _inplace);
    }

    /// <summary>x · Φ(x).</summary>
    public sealed class GELU : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        internal GELU() : base(nameof(GELU))
        {
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.gelu(input);
    }

    /// <summary>x · σ(x).</summary>
    public sealed class SiLU : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly bool _inplace;

        internal SiLU(bool inplace) : base(nameof(SiLU))
        {
            _inplace = inplace;
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.silu(input, _inplace);
    }

    /// <summary>x · tanh(softplus(x)).</summary>
    public sealed class Mish : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly bool _inplace;

        internal Mish(bool inplace) : base(nameof(Mish))
        {
            _inplace = inplace;
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.mish(input, _inplace);
    }

    /// <summary>1 / (1 + e⁻ˣ).</summary>
    public sealed class Sigmoid : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly bool _inplace;

        internal Sigmoid(bool inplace) : base(nameof(Sigmoid))
        {
            _inplace = inplace;
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.sigmoid(input, _inplace);
    }

    /// <summary>Hyperbolic tangent.</summary>
    public sealed class Tanh : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly bool _inplace;

        internal Tanh(bool inplace) : base(nameof(Tanh))
        {
            _inplace = inplace;
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.tanh(input, _inplace);
    }

    /// <summary>log(1 + e^(βx)) / β.</summary>
    public sealed class Softplus : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly double _beta;
        private readonly double _threshold;

        internal Softplus(double beta, double threshold) : base(nameof(Softplus))
        {
            (_beta, _threshold) = (beta, threshold);
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.softplus(input, _beta, _threshold);
    }

    /// <summary>log σ(x).</summary>
    public sealed class LogSigmoid : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        internal LogSigmoid() : base(nameof(LogSigmoid))
        {
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.logsigmoid(input);
    }

    /// <summary>Softmax along a dimension.</summary>
    public sealed class Softmax : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly long _dim;

        internal Softmax(long dim) : base(nameof(Softmax))
        {
            _dim = dim;
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.softmax(input, _dim);
    }

    /// <summary>Logarithm of the softmax along a dimension.</summary>
    public sealed class LogSoftmax : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly long _dim;

        internal LogSoftmax(long dim) : base(nameof(LogSoftmax))
        {
            _dim = dim;
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.log_softmax(input, _dim);
    }

    /// <summary>In training, zeroes elements with probability p and scales the rest by 1 / (1 − p).</summary>
    public sealed class Dropout : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly double _p;
        private readonly bool _inplace;

        internal Dropout(double p, bool inplace) : base(nameof(Dropout))
        {
            (_p, _inplace) = (p, inplace);
        }

        public override torch.Tensor forward(torch.Tensor input) => torch.nn.functional.dropout(input, _p, training, _inplace);
    }

    /// <summary>Gives its input back.</summary>
    public sealed class Identity : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        internal Identity() : base(nameof(Identity))
        {
        }

        public override torch.Tensor forward(torch.Tensor input) => input.alias();
    }
}

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class nn
        {
            public static ReLU ReLU(bool inplace = false) => new(inplace);

            public static LeakyReLU LeakyReLU(double negative_slope = 0.01, bool inplace = false) => new(negative_slope, inplace);

            public static ELU ELU(double alpha = 1.0, bool inplace = false) => new(alpha, inplace);

            public static GELU GELU() => new();

            public static SiLU SiLU(bool inplace = false) => new(inplace);

            public static Mish Mish(bool inplace = false) => new(inplace);

            public static Sigmoid Sigmoid(bool inplace = false) => new(inplace);

            public static Tanh Tanh(bool inplace = false) => new(inplace);

            public static Softplus Softplus(double beta = 1.0, double threshold = 20.0) => new(beta, threshold);

            public static LogSigmoid LogSigmoid() => new();

            public static Softmax Softmax(long dim) => new(dim);

            public static LogSoftmax LogSoftmax(long dim) => new(dim);

            public static Dropout Dropout(double p = 0.5, bool inplace = false) => new(p, inplace);

            public static Identity Identity() => new();
        }
    }
}
