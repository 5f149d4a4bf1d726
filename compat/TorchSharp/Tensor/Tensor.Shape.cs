using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    // Shape, memory layout, device and element type.
    public partial class Tensor
    {
        public Tensor reshape(params long[] shape) => Aten.reshape.Call(this, shape);

        public Tensor reshape(ReadOnlySpan<long> shape) => Aten.reshape.Call(this, shape);

        public Tensor view(params long[] shape) => Aten.view.Call(this, shape);

        public Tensor view(ReadOnlySpan<long> shape) => Aten.view.Call(this, shape);

        public Tensor view_as(Tensor other) => view(other.shape);

        public Tensor t() => Aten.t.Call(this);

        public Tensor T => Dimensions == 2 ? t() : permute([.. Enumerable.Range(0, (int)Dimensions).Reverse().Select(d => (long)d)]);

        public Tensor transpose(long dim0, long dim1) => Aten.transpose__int.Call(this, dim0, dim1);

        public Tensor permute(params long[] permutation) => Aten.permute.Call(this, permutation);

        public Tensor movedim(long source, long destination) => Aten.movedim__int.Call(this, source, destination);

        public Tensor squeeze(long? dim = null) => dim is { } d ? Aten.squeeze__dim.Call(this, d) : Aten.squeeze.Call(this);

        public Tensor unsqueeze(long dim) => Aten.unsqueeze.Call(this, dim);

        public Tensor flatten(long start_dim = 0, long end_dim = -1) => Aten.flatten__using_ints.Call(this, start_dim, end_dim);

        public Tensor expand(ReadOnlySpan<long> sizes, bool isImplicit = false) => Aten.expand.Call(this, sizes, isImplicit);

        public Tensor expand(long[] sizes, bool isImplicit = false) => Aten.expand.Call(this, sizes, isImplicit);

        public Tensor expand(params long[] sizes) => Aten.expand.Call(this, sizes);

        public Tensor expand_as(Tensor other) => Aten.expand_as.Call(this, other);

        public Tensor repeat(params long[] sizes) => Aten.repeat.Call(this, sizes);

        public Tensor repeat_interleave(long repeats, long? dim = null, long? output_size = null) =>
            Aten.repeat_interleave__self_int.Call(this, repeats, dim, output_size);

        public Tensor repeat_interleave(Tensor repeats, long? dim = null, long? output_size = null) =>
            Aten.repeat_interleave__self_Tensor.Call(this, repeats, dim, output_size);

        public Tensor contiguous() => Aten.contiguous.Call(this);

        public Tensor clone() => Aten.clone.Call(this);

        /// <summary>The same memory outside the autograd graph.</summary>
        public Tensor detach() => Aten.detach.Call(this);

        public Tensor detach_() => Aten.detach_.Call(this);

        /// <summary>Overwrites this tensor's elements, converting type and device; the source is broadcast.</summary>
        public Tensor copy_(Tensor source, bool non_blocking = false) => Aten.copy_.Call(this, source, non_blocking);

        public Tensor fill_(Scalar value) => Aten.fill___Scalar.Call(this, value);

        public Tensor zero_() => Aten.zero_.Call(this);

        public Tensor flip(params long[] dims) => Aten.flip.Call(this, dims);

        public Tensor roll(long shifts, long dims) => Aten.roll.Call(this, shifts, dims);

        public Tensor triu(long diagonal = 0L) => Aten.triu.Call(this, diagonal);

        public Tensor tril(long diagonal = 0L) => Aten.tril.Call(this, diagonal);

        public Tensor diagonal(long offset = 0L, long dim1 = 0L, long dim2 = 1L) => Aten.diagonal.Call(this, offset, dim1, dim2);

        public Tensor diag(long diagonal = 0) => Aten.diag.Call(this, diagonal);

        public Tensor to(ScalarType type, Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            Moved(type, device, copy, disposeAfter, non_blocking);

        public Tensor to(ScalarType type, bool disposeAfter = false, bool non_blocking = false) => Moved(type, null, false, disposeAfter, non_blocking);

        public Tensor to(string device, bool disposeAfter = false, bool non_blocking = false) => to(new Device(device), disposeAfter, non_blocking);

        public Tensor to(Device device, bool disposeAfter = false, bool non_blocking = false) => Moved(null, device, false, disposeAfter, non_blocking);

        public Tensor to(DeviceType deviceType, int deviceIndex = -1, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            Moved(null, new Device(deviceType, deviceIndex), copy, disposeAfter, non_blocking);

        public Tensor to(Tensor other, bool disposeAfter = false, bool non_blocking = false) => Moved(other.dtype, other.device, false, disposeAfter, non_blocking);

        public Tensor to_type(ScalarType type, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            Moved(type, null, copy, disposeAfter, non_blocking);

        public Tensor type_as(Tensor tensor) => to_type(tensor.dtype);

        public Tensor cpu(bool disposeAfter = false, bool non_blocking = false) => to(CPU, disposeAfter, non_blocking);

        public Tensor cuda(Device? device = null, bool disposeAfter = false, bool non_blocking = false) => to(device ?? CUDA, disposeAfter, non_blocking);

        public Tensor @float() => to_type(ScalarType.Float32);

        public Tensor @double() => to_type(ScalarType.Float64);

        public Tensor @long() => to_type(ScalarType.Int64);

        public Tensor @int() => to_type(ScalarType.Int32);

        public Tensor @bool() => to_type(ScalarType.Bool);

        // A tensor that already is as wanted comes back as another handle to the same memory, as libtorch's own to() has it.
        private Tensor Moved(ScalarType? type, Device? target, bool copy, bool disposeAfter, bool non_blocking)
        {
            var here = device;
            var there = target is not null && target.type != DeviceType.CPU && target.index < 0 && target.type == here.type;
            var same = (type is null || type == dtype) && (target is null || there || target == here || (target.type == DeviceType.CPU && here.type == DeviceType.CPU));
            var result = same && !copy ? alias() : Aten._to_copy.Call(this, type, Argument.None, target, Argument.None, non_blocking);
            if (disposeAfter)
                Dispose();
            return result;
        }
    }
}
