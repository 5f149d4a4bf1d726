using System.Runtime.InteropServices;
using TorchSharp.Interop;
using TorchSharp.Utils;

namespace TorchSharp;

public static partial class torch
{
    // Memory: in, out, and conversion to .NET numbers.
    public partial class Tensor
    {
        /// <summary>The elements in row-major order whatever the strides; CPU only.</summary>
        public TensorAccessor<T> data<T>() where T : unmanaged
        {
            RequireHost();
            ValidateType(typeof(T));
            return new TensorAccessor<T>(this);
        }

        /// <summary>The value of a tensor with one element, of exactly its element type.</summary>
        public T item<T>() where T : unmanaged
        {
            if (NumberOfElements != 1)
                throw new ArgumentException("Number of elements in the tensor must be 1");
            if (device_type == DeviceType.CPU)
                return data<T>()[0];
            using var host = cpu();
            return host.data<T>()[0];
        }

        /// <summary>The memory of a contiguous CPU tensor. Valid only while this tensor lives.</summary>
        public unsafe Span<byte> bytes
        {
            get
            {
                if (!is_contiguous())
                    throw new NotImplementedException("Bytes() called on non-contiguous tensor.");
                RequireHost();
                return new Span<byte>((void*)DataPointer(), checked((int)(NumberOfElements * ElementSize)));
            }
            set
            {
                var target = bytes;
                if (target.Length != value.Length)
                    throw new ArgumentException("Mismatched data sizes in SetBytes().");
                value.CopyTo(target);
            }
        }

        internal nint DataPointer()
        {
            NativeMethods.Check(NativeMethods.kd_tensor_data(Handle, out var pointer));
            return pointer;
        }

        private void RequireHost()
        {
            if (device_type != DeviceType.CPU)
                throw new InvalidOperationException("Reading data from non-CPU memory is not supported. Move or copy the tensor to the cpu before reading.");
        }

        internal void ValidateType(Type type)
        {
            var ok = dtype switch
            {
                ScalarType.Byte => type == typeof(byte),
                ScalarType.Int8 => type == typeof(sbyte),
                ScalarType.Int16 => type == typeof(short),
                ScalarType.Int32 => type == typeof(int),
                ScalarType.Int64 => type == typeof(long),
                ScalarType.Bool => type == typeof(bool),
                ScalarType.Float16 => type == typeof(Half),
                ScalarType.Float32 => type == typeof(float),
                ScalarType.Float64 => type == typeof(double),
                _ => false,
            };
            if (!ok)
                throw new ArgumentException($"{type.Name} is not compatible with {dtype}");
        }

        /// <summary>The value of a tensor with one element.</summary>
        public Scalar ToScalar()
        {
            var number = Aten.item.CallNumber(this);
            return number.Tag switch
            {
                NativeTag.Bool => number.Payload != 0,
                NativeTag.Int => number.Payload,
                _ => dtype == ScalarType.Float64 ? (Scalar)number.Real : (float)number.Real,
            };
        }

        public static explicit operator float(Tensor value) => value.ToScalar().ToSingle();

        public static explicit operator double(Tensor value) => value.ToScalar().ToDouble();

        public static explicit operator int(Tensor value) => value.ToScalar().ToInt32();

        public static explicit operator long(Tensor value) => value.ToScalar().ToInt64();

        public static explicit operator bool(Tensor value) => value.ToScalar().ToBoolean();

        internal void CopyElements<T>(Span<T> target) where T : unmanaged
        {
            if (is_contiguous())
            {
                MemoryMarshal.Cast<byte, T>(bytes).CopyTo(target);
                return;
            }
            using var grad = no_grad();
            using var dense = contiguous();
            MemoryMarshal.Cast<byte, T>(dense.bytes).CopyTo(target);
        }
    }
}
