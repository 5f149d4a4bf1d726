using System.Runtime.InteropServices;
using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>
    /// A 1-D tensor that shares memory with a managed array, from element <paramref name="offset"/> on; the array stays pinned until libtorch
    /// lets the memory go. Another element type or device makes a copy.
    /// </summary>
    public static unsafe Tensor frombuffer(Array rawArray, ScalarType dtype, long count = -1, long offset = 0, bool requires_grad = false, Device? device = null)
    {
        if (offset < 0 || offset >= rawArray.LongLength)
            throw new ArgumentException($"invalid value for 'offset': {offset}");
        count = count < 0 ? rawArray.LongLength - offset : count;
        if (count > rawArray.LongLength - offset)
            throw new IndexOutOfRangeException($"element count is too large: {count}");
        var (type, size) = ElementOf(rawArray);
        var pin = GCHandle.Alloc(rawArray, GCHandleType.Pinned);
        nint handle;
        try
        {
            NativeMethods.Check(NativeMethods.kd_tensor_from_blob((byte*)pin.AddrOfPinnedObject() + offset * size, &count, 1, (int)type, &Unpin,
                GCHandle.ToIntPtr(pin), out handle));
        }
        catch
        {
            pin.Free();
            throw;
        }
        var result = new Tensor(handle);
        if (dtype != type || (device ?? CPU).type != DeviceType.CPU)
        {
            using var shared = result;
            result = shared.to(dtype, device ?? CPU);
        }
        return requires_grad ? result.requires_grad_() : result;
    }

    [UnmanagedCallersOnly]
    private static void Unpin(nint pin) => GCHandle.FromIntPtr(pin).Free();

    private static (ScalarType type, int size) ElementOf(Array array) => array switch
    {
        // The CLR lets a signed array pass for an unsigned one and back, so the exact type is asked for.
        _ when array.GetType().GetElementType() == typeof(float) => (ScalarType.Float32, 4),
        _ when array.GetType().GetElementType() == typeof(double) => (ScalarType.Float64, 8),
        _ when array.GetType().GetElementType() == typeof(long) => (ScalarType.Int64, 8),
        _ when array.GetType().GetElementType() == typeof(int) => (ScalarType.Int32, 4),
        _ when array.GetType().GetElementType() == typeof(short) => (ScalarType.Int16, 2),
        _ when array.GetType().GetElementType() == typeof(byte) => (ScalarType.Byte, 1),
        _ when array.GetType().GetElementType() == typeof(sbyte) => (ScalarType.Int8, 1),
        _ when array.GetType().GetElementType() == typeof(bool) => (ScalarType.Bool, 1),
        _ => throw new ArgumentException($"An array of {array.GetType().GetElementType()} has no element type in libtorch.", nameof(array)),
    };
}
