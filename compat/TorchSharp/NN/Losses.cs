using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchSharp
{
    /// <summary>A loss as a module, for where one is handed around; the function is in <see cref="functional"/>.</summary>
    public abstract class Loss<T1, T2, TResult> : nn.Module<T1, T2, TResult>
    {
        protected Loss(Reduction reduction = Reduction.Mean) : base(nameof(Loss<T1, T2, TResult>)) => this.reduction = reduction;

        public Reduction reduction { get; }
    }
}

namespace TorchSharp.Modules
{
    public sealed class BCEWithLogitsLoss : Loss<Tensor, Tensor, Tensor>
    {
        private readonly Tensor? _weight;
        private readonly Tensor? _pos_weights;

        internal BCEWithLogitsLoss(Tensor? weight, Reduction reduction, Tensor? pos_weights) : base(reduction)
        {
            (_weight, _pos_weights) = (weight, pos_weights);
        }

        public override Tensor forward(Tensor input, Tensor target) => functional.binary_cross_entropy_with_logits(input, target, _weight, reduction, _pos_weights);
    }

    public sealed class BCELoss : Loss<Tensor, Tensor, Tensor>
    {
        private readonly Tensor? _weight;

        internal BCELoss(Tensor? weight, Reduction reduction) : base(reduction)
        {
            _weight = weight;
        }

        public override Tensor forward(Tensor input, Tensor target) => functional.binary_cross_entropy(input, target, _weight, reduction);
    }

    public sealed class MSELoss : Loss<Tensor, Tensor, Tensor>
    {
        internal MSELoss(Reduction reduction) : base(reduction)
        {
        }

        public override Tensor forward(Tensor input, Tensor target) => functional.mse_loss(input, target, reduction);
    }

    public sealed class L1Loss : Loss<Tensor, Tensor, Tensor>
    {
        internal L1Loss(Reduction reduction) : base(reduction)
        {
        }

        public override Tensor forward(Tensor input, Tensor target) => functional.l1_loss(input, target, reduction);
    }

    public sealed class HuberLoss : Loss<Tensor, Tensor, Tensor>
    {
        private readonly double _delta;

        internal HuberLoss(double delta, Reduction reduction) : base(reduction)
        {
            _delta = delta;
        }

        public override Tensor forward(Tensor input, Tensor target) => functional.huber_loss(input, target, _delta, reduction);
    }

    public sealed class SmoothL1Loss : Loss<Tensor, Tensor, Tensor>
    {
        private readonly double _beta;

        internal SmoothL1Loss(Reduction reduction, double beta) : base(reduction)
        {
            _beta = beta;
        }

        public override Tensor forward(Tensor input, Tensor target) => functional.smooth_l1_loss(input, target, reduction, _beta);
    }

    public sealed class KLDivLoss : Loss<Tensor, Tensor, Tensor>
    {
        private readonly bool _log_target;

        internal KLDivLoss(bool log_target, Reduction reduction) : base(reduction)
        {
            _log_target = log_target;
        }

        public override Tensor forward(Tensor input, Tensor target) => functional.kl_div(input, target, _log_target, reduction);
    }

    public sealed class NLLLoss : Loss<Tensor, Tensor, Tensor>
    {
        private readonly Tensor? _weight;

        internal NLLLoss(Tensor? weight, Reduction reduction) : base(reduction)
        {
            _weight = weight;
        }

        public override Tensor forward(Tensor input, Tensor target) => functional.nll_loss(input, target, _weight, reduction);
    }

    public sealed class CrossEntropyLoss : Loss<Tensor, Tensor, Tensor>
    {
        private readonly Tensor? _weight;
        private readonly long? _ignore_index;

        internal CrossEntropyLoss(Tensor? weight, long? ignore_index, Reduction reduction) : base(reduction)
        {
            (_weight, _ignore_index) = (weight, ignore_index);
        }

        public override Tensor forward(Tensor input, Tensor target) => functional.cross_entropy(input, target, _weight, _ignore_index ?? -100, reduction);
    }
}

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class nn
        {
            public static BCEWithLogitsLoss BCEWithLogitsLoss(Tensor? weight = null, Reduction reduction = Reduction.Mean, Tensor? pos_weights = null) => new(weight, reduction, pos_weights);

            public static BCELoss BCELoss(Tensor? weight = null, Reduction reduction = Reduction.Mean) => new(weight, reduction);

            public static MSELoss MSELoss(Reduction reduction = Reduction.Mean) => new(reduction);

            public static L1Loss L1Loss(Reduction reduction = Reduction.Mean) => new(reduction);

            public static HuberLoss HuberLoss(double delta = 1.0, Reduction reduction = Reduction.Mean) => new(delta, reduction);

            public static SmoothL1Loss SmoothL1Loss(Reduction reduction = Reduction.Mean, double beta = 1.0) => new(reduction, beta);

            public static KLDivLoss KLDivLoss(bool log_target = true, Reduction reduction = Reduction.Mean) => new(log_target, reduction);

            public static NLLLoss NLLLoss(Tensor? weight = null, Reduction reduction = Reduction.Mean) => new(weight, reduction);

            public static CrossEntropyLoss CrossEntropyLoss(Tensor? weight = null, long? ignore_index = null, Reduction reduction = Reduction.Mean) => new(weight, ignore_index, reduction);
        }
    }
}
