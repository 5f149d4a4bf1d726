using TorchSharp.Modules;

namespace TorchSharp.Modules
{
    /// <summary>Normalises each feature of [n, features] (or [n, features, length]) over the batch; in evaluation by running statistics.</summary>
    public sealed class BatchNorm1d : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly double _eps;
        private readonly double _momentum;

        internal BatchNorm1d(long num_features, double eps, double momentum, bool affine, bool track_running_stats, torch.Device? device, torch.ScalarType? dtype)
            : base(nameof(BatchNorm1d))
        {
            (_eps, _momentum) = (eps, momentum);
            if (affine)
            {
                weight = new Parameter(torch.ones(num_features, dtype, device));
                bias = new Parameter(torch.zeros(num_features, dtype, device));
                register_parameter(nameof(weight), weight);
                register_parameter(nameof(bias), bias);
            }
            if (!track_running_stats)
                return;
            running_mean = torch.zeros(num_features, dtype, device);
            running_var = torch.ones(num_features, dtype, device);
            num_batches_tracked = torch.tensor(0L, device);
            register_buffer(nameof(running_mean), running_mean);
            register_buffer(nameof(running_var), running_var);
            register_buffer(nameof(num_batches_tracked), num_batches_tracked);
        }

        public Parameter? weight { get; }

        public Parameter? bias { get; }

        public torch.Tensor? running_mean { get; }

        public torch.Tensor? running_var { get; }

        public torch.Tensor? num_batches_tracked { get; }

        public override torch.Tensor forward(torch.Tensor input)
        {
            if (input.ndim is not (2 or 3))
                throw new ArgumentException($"expected 2D or 3D input, but got {input.ndim}D input.");
            if (training)
                num_batches_tracked?.add_(1);
            return torch.nn.functional.batch_norm(input, running_mean, running_var, weight, bias, training || running_mean is null, _momentum, _eps);
        }
    }
}

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class nn
        {
            public static BatchNorm1d BatchNorm1d(long num_features, double eps = 1e-05, double momentum = 0.1, bool affine = true,
                bool track_running_stats = true, Device? device = null, ScalarType? dtype = null) =>
                new(num_features, eps, momentum, affine, track_running_stats, device, dtype);
        }
    }
}
