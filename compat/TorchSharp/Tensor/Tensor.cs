using System.Diagnostics.CodeAnalysis;
using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>
    /// An n-dimensional array of libtorch. Dispose it, or create it inside a <see cref="DisposeScope"/>; the finalizer is a
    /// safety net only, since the garbage collector does not see the native memory. Not thread-safe while being written.
    /// </summary>
    [SuppressMessage("Naming", "CA1724", Justification = "The real package's name.")]
    public partial class Tensor : IDisposable
    {
        private static long s_totalCount;
        private static long s_peakCount;

        internal nint handle;

        internal Tensor(nint handle)
        {
            this.handle = handle;
            var count = Interlocked.Increment(ref s_totalCount);
            if (count > s_peakCount)
                s_peakCount = count;
            OwningDisposeScope = DisposeScopeManager.ThreadSingleton.Register(this);
        }

        ~Tensor() => Free();

        /// <summary>Managed tensors alive in the process.</summary>
        public static long TotalCount => Interlocked.Read(ref s_totalCount);

        public static long PeakCount => s_peakCount;

        internal DisposeScope? OwningDisposeScope { get; set; }

        /// <summary>The native tensor; throws when this one is disposed.</summary>
        public nint Handle => handle != 0 ? handle : throw new InvalidOperationException("Tensor invalid -- empty handle.");

        public bool IsInvalid => handle == 0;

        /// <summary>A name for people; nothing depends on it.</summary>
        public string? name { get; set; }

        public void Dispose()
        {
            if (OwningDisposeScope is { } scope)
                scope.MarkAsDisposed(this);
            else if (handle != 0)
                DisposeScopeManager.Statistics.DisposedOutsideScopeCount++;
            Release();
        }

        internal void Release()
        {
            OwningDisposeScope = null;
            Free();
            GC.SuppressFinalize(this);
        }

        private void Free()
        {
            var released = Interlocked.Exchange(ref handle, 0);
            if (released == 0)
                return;
            Interlocked.Decrement(ref s_totalCount);
            NativeMethods.kd_tensor_free(released);
        }

        /// <summary>Gives the native tensor away; this object is empty afterwards.</summary>
        internal nint MoveHandle()
        {
            var moved = Interlocked.Exchange(ref handle, 0);
            if (moved != 0)
                Interlocked.Decrement(ref s_totalCount);
            OwningDisposeScope?.MarkAsDisposed(this);
            GC.SuppressFinalize(this);
            return moved;
        }

        public Tensor MoveToOuterDisposeScope()
        {
            OwningDisposeScope?.MoveToOuter(this);
            return this;
        }

        public Tensor MoveToOtherDisposeScope(DisposeScope other)
        {
            if (OwningDisposeScope is null)
                other.Attach(this);
            else
                OwningDisposeScope.MoveToOther(other, this);
            return this;
        }

        public Tensor MoveToOtherDisposeScope(Tensor other)
        {
            if (other.OwningDisposeScope is { } scope)
                return MoveToOtherDisposeScope(scope);
            return DetachFromDisposeScope();
        }

        public Tensor DetachFromDisposeScope()
        {
            OwningDisposeScope?.Detach(this);
            return this;
        }

        /// <summary>Another managed tensor on the same native one, disposed independently.</summary>
        public Tensor alias()
        {
            NativeMethods.Check(NativeMethods.kd_tensor_alias(Handle, out var result));
            GC.KeepAlive(this);
            return new Tensor(result);
        }

        public long Dimensions => NativeMethods.kd_tensor_dim(Handle);

        public long dim() => Dimensions;

        public long ndim => Dimensions;

        public long NumberOfElements => NativeMethods.kd_tensor_numel(Handle);

        public long numel() => NumberOfElements;

        /// <summary>Bytes an element takes.</summary>
        public long ElementSize => NativeMethods.kd_tensor_element_size(Handle);

        public long element_size() => ElementSize;

        public ScalarType dtype => (ScalarType)NativeMethods.kd_tensor_dtype(Handle);

        public Device device
        {
            get
            {
                NativeMethods.kd_tensor_device(Handle, out var type, out var index);
                return (DeviceType)type == DeviceType.CPU ? CPU : new Device((DeviceType)type, index);
            }
        }

        public DeviceType device_type => device.type;

        public int device_index => device.index;

        public bool is_cuda => device_type == DeviceType.CUDA;

        public bool is_sparse => NativeMethods.kd_tensor_is_sparse(Handle) != 0;

        public bool is_integral() => torch.is_integral(dtype);

        public bool is_floating_point() => torch.is_floating_point(dtype);

        public bool is_complex() => torch.is_complex(dtype);

        public bool is_contiguous() => NativeMethods.kd_tensor_is_contiguous(Handle) != 0;

        public unsafe long[] shape
        {
            get
            {
                var sizes = new long[Dimensions];
                fixed (long* p = sizes)
                    NativeMethods.Check(NativeMethods.kd_tensor_sizes(Handle, p, null));
                return sizes;
            }
        }

        public long[] size() => shape;

        public long size(int dim)
        {
            var sizes = shape;
            return sizes[dim < 0 ? dim + sizes.Length : dim];
        }

        public unsafe long[] stride()
        {
            var strides = new long[Dimensions];
            fixed (long* p = strides)
                NativeMethods.Check(NativeMethods.kd_tensor_sizes(Handle, null, p));
            return strides;
        }

        public long stride(int dim)
        {
            var strides = stride();
            return strides[dim < 0 ? dim + strides.Length : dim];
        }

        public long storage_offset() => NativeMethods.kd_tensor_storage_offset(Handle);

        /// <summary>Reference equality, as in the real package; <see cref="equal"/> compares contents.</summary>
        public override bool Equals(object? obj) => ReferenceEquals(this, obj);

        public override int GetHashCode() => base.GetHashCode();

        public override string ToString() =>
            IsInvalid ? "[disposed]" : $"[{string.Join('x', shape)}], type = {dtype}, device = {device}";
    }
}
