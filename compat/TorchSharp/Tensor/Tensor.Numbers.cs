namespace TorchSharp;

/// <summary>The value of a tensor with one element, as a number of .NET.</summary>
public static partial class TensorExtensionMethods
{
    public static byte ToByte(this torch.Tensor value) => value.ToScalar().ToByte();

    public static short ToInt16(this torch.Tensor value) => value.ToScalar().ToInt16();

    public static int ToInt32(this torch.Tensor value) => value.ToScalar().ToInt32();

    public static long ToInt64(this torch.Tensor value) => value.ToScalar().ToInt64();

    public static float ToSingle(this torch.Tensor value) => value.ToScalar().ToSingle();

    public static double ToDouble(this torch.Tensor value) => value.ToScalar().ToDouble();

    public static bool ToBoolean(this torch.Tensor value) => value.ToScalar().ToBoolean();
}
