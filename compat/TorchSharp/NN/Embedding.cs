using TorchSharp.Interop;
using TorchSharp.Modules;

namespace TorchSharp.Modules
{
    /// <summary>Rows of a table by index: indices of any shape get a last dimension of <c>embedding_dims</c>. Gradients are dense.</summary>
    public sealed class Embedding : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly long _padding;

        internal Embedding(torch.Tensor table, long? padding_idx) : base(nameof(Embedding))
        {
            _padding = padding_idx ?? -1;
            weight = new Parameter(table);
            register_parameter(nameof(weight), weight);
        }

        public Parameter weight { get; }

        public override torch.Tensor forward(torch.Tensor input) => Aten.embedding.Call(weight, input, _padding);
    }
}

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class nn
        {
            /// <summary>Rows drawn from N(0, 1); the padding row, if any, is zero and gets no gradient.</summary>
            /// <exception cref="NotImplementedException">max_norm, scale_grad_by_freq and sparse are not bound.</exception>
            public static Embedding Embedding(long num_embeddings, long embedding_dims, long? padding_idx = null, double? max_norm = null, double norm_type = 2.0,
                bool scale_grad_by_freq = false, bool sparse = false, Device? device = null, ScalarType? dtype = null)
            {
                if (max_norm is not null || scale_grad_by_freq || sparse)
                    throw new NotImplementedException("Embedding: max_norm, scale_grad_by_freq and sparse are not bound in this subset.");
                var table = randn(num_embeddings, embedding_dims, dtype, device);
                if (padding_idx is { } row)
                {
                    using var padding = table.select(0, row);
                    padding.zero_().Dispose();
                }
                return new Embedding(table, padding_idx);
            }

            public static Embedding Embedding_from_pretrained(Tensor embeddings, bool freeze = true, long? padding_idx = null)
            {
                var module = new Embedding(embeddings, padding_idx);
                module.weight.requires_grad = !freeze;
                return module;
            }
        }
    }
}
