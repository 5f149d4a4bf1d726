using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    // Taking parts of tensors, writing parts of tensors.
    public partial class Tensor
    {
        public Tensor narrow(long dim, long start, long length) => Aten.narrow.Call(this, dim, start, length);

        public Tensor slice(long dim, long start, long finish, long step) => Aten.slice__Tensor.Call(this, dim, start, finish, step);

        public Tensor select(long dim, long index) => Aten.select__int.Call(this, dim, index);

        /// <summary>Rows (along <paramref name="dim"/>) in the order of a 1-D tensor of int32 or int64.</summary>
        public Tensor index_select(long dim, Tensor index) => Aten.index_select.Call(this, dim, index);

        public Tensor index_add(long dim, Tensor index, Tensor source, Scalar alpha) => Aten.index_add.Call(this, dim, index, source, alpha);

        public Tensor index_add_(long dim, Tensor index, Tensor source, Scalar alpha) => Aten.index_add_.Call(this, dim, index, source, alpha);

        public Tensor index_copy(long dim, Tensor index, Tensor source) => Aten.index_copy.Call(this, dim, index, source);

        public Tensor index_copy_(long dim, Tensor index, Tensor source) => Aten.index_copy_.Call(this, dim, index, source);

        public Tensor index_fill(long dim, Tensor index, Scalar value) => Aten.index_fill__int_Scalar.Call(this, dim, index, value);

        public Tensor gather(long dim, Tensor index) => Aten.gather.Call(this, dim, index);

        public Tensor scatter(long dim, Tensor index, Tensor src) => Aten.scatter__src.Call(this, dim, index, src);

        public Tensor scatter(long dim, Tensor index, Scalar value) => Aten.scatter__value.Call(this, dim, index, value);

        public Tensor scatter_(long dim, Tensor index, Tensor src) => Aten.scatter___src.Call(this, dim, index, src);

        public Tensor scatter_(long dim, Tensor index, Scalar value) => Aten.scatter___value.Call(this, dim, index, value);

        public Tensor scatter_add(long dim, Tensor index, Tensor src) => Aten.scatter_add.Call(this, dim, index, src);

        public Tensor scatter_add_(long dim, Tensor index, Tensor src) => Aten.scatter_add_.Call(this, dim, index, src);

        public Tensor take_along_dim(Tensor indices, long dim) => Aten.take_along_dim.Call(this, indices, dim);

        public Tensor[] split(long size, long dim = 0) => Aten.split__Tensor.CallMany(this, size, dim);

        public Tensor[] split(long[] sizes, long dim = 0) => Aten.split_with_sizes.CallMany(this, sizes, dim);

        public Tensor[] chunk(long chunks, long dim = 0L) => Aten.chunk.CallMany(this, chunks, dim);

        public Tensor[] unbind(long dimension = 0L) => Aten.unbind__int.CallMany(this, dimension);

        public Tensor masked_fill(Tensor mask, Scalar value) => Aten.masked_fill__Scalar.Call(this, mask, value);

        public Tensor masked_fill_(Tensor mask, Scalar value) => Aten.masked_fill___Scalar.Call(this, mask, value);

        public Tensor masked_select(Tensor mask) => Aten.masked_select.Call(this, mask);

        /// <summary>The distinct values; where each element went; how often each occurs.</summary>
        public (Tensor output, Tensor? inverse_indices, Tensor? counts) unique(bool sorted = true, bool return_inverse = false, bool return_counts = false, int? dim = null)
        {
            if (dim is not null)
                throw new NotImplementedException("unique along a dimension is not bound; flatten first.");
            var all = Aten._unique2.CallMany(this, sorted, return_inverse, return_counts);
            if (!return_inverse)
                all[1].Dispose();
            if (!return_counts)
                all[2].Dispose();
            return (all[0], return_inverse ? all[1] : null, return_counts ? all[2] : null);
        }
    }
}
