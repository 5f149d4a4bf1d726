using TorchSharp.Interop;

namespace TorchSharp;

/// <summary>A number of any element type, as an operand beside tensors. Holds no native memory; disposal is a no-op.</summary>
public sealed class Scalar : IDisposable
{
    private readonly double _real;

    private Scalar(Argument argument, double real, torch.ScalarType type) => (Argument, _real, Type) = (argument, real, type);

    internal Argument Argument { get; }

    /// <summary>The element type a tensor made from this scalar has.</summary>
    public torch.ScalarType Type { get; }

    public static implicit operator Scalar(byte value) => Of(value, torch.ScalarType.Byte);

    public static implicit operator Scalar(sbyte value) => Of(value, torch.ScalarType.Int8);

    public static implicit operator Scalar(short value) => Of(value, torch.ScalarType.Int16);

    public static implicit operator Scalar(int value) => Of(value, torch.ScalarType.Int32);

    public static implicit operator Scalar(long value) => Of(value, torch.ScalarType.Int64);

    public static implicit operator Scalar(float value) => new((double)value, value, torch.ScalarType.Float32);

    public static implicit operator Scalar(double value) => new(value, value, torch.ScalarType.Float64);

    public static implicit operator Scalar(bool value) => new(value, value ? 1 : 0, torch.ScalarType.Bool);

    internal double Real => _real;

    private static Scalar Of(long value, torch.ScalarType type) => new(value, value, type);

    public void Dispose()
    {
    }
}

/// <summary>Conversions of a <see cref="Scalar"/> to .NET numbers.</summary>
public static class ScalarExtensionMethods
{
    public static Scalar ToScalar(this byte value) => value;

    public static Scalar ToScalar(this int value) => value;

    public static Scalar ToScalar(this long value) => value;

    public static Scalar ToScalar(this float value) => value;

    public static Scalar ToScalar(this double value) => value;

    public static Scalar ToScalar(this bool value) => value;

    public static float ToSingle(this Scalar value) => (float)value.Real;

    public static double ToDouble(this Scalar value) => value.Real;

    public static byte ToByte(this Scalar value) => (byte)Integer(value);

    public static short ToInt16(this Scalar value) => (short)Integer(value);

    public static int ToInt32(this Scalar value) => (int)Integer(value);

    public static long ToInt64(this Scalar value) => Integer(value);

    public static bool ToBoolean(this Scalar value) => value.Real != 0;

    // Integers keep all 64 bits; only reals go through a double.
    private static long Integer(Scalar value) =>
        value.Argument.Tag is NativeTag.Int or NativeTag.Bool ? value.Argument.Payload : (long)value.Real;
}
