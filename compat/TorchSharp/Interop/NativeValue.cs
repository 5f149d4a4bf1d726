using System.Runtime.InteropServices;

namespace TorchSharp.Interop;

/// <summary>How an argument or a result crosses the boundary; the order is that of <c>kd::Tag</c> in native/kdtorch.h.</summary>
internal enum NativeTag
{
    None,
    Tensor,
    Int,
    Double,
    Bool,
    IntList,
    TensorList,
    DoubleList,
    OptionalTensorList,
    String,
    Device,
}

/// <summary>Mirror of <c>kd::Value</c>: a tag, a count (of list elements; for a device its index) and eight bytes of payload.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeValue
{
    public NativeTag Tag;
    public int Count;
    public long Payload;

    public readonly double Real => BitConverter.Int64BitsToDouble(Payload);
}
