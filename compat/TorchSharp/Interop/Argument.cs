namespace TorchSharp.Interop;

/// <summary>One argument of an <see cref="Operator"/>: a value, or a reference that keeps its tensors alive during the call.</summary>
internal readonly struct Argument
{
    internal readonly object? Reference;
    internal readonly NativeTag Tag;
    internal readonly int Index;
    internal readonly long Payload;

    private Argument(NativeTag tag, long payload, object? reference = null, int index = 0) =>
        (Tag, Payload, Reference, Index) = (tag, payload, reference, index);

    public static Argument None => default;

    public static implicit operator Argument(torch.Tensor? tensor) =>
        tensor is null ? default : new(NativeTag.Tensor, tensor.Handle, tensor);

    public static implicit operator Argument(long value) => new(NativeTag.Int, value);

    public static implicit operator Argument(long? value) => value is { } v ? new(NativeTag.Int, v) : default;

    public static implicit operator Argument(double value) => new(NativeTag.Double, BitConverter.DoubleToInt64Bits(value));

    public static implicit operator Argument(double? value) => value is { } v ? v : default(Argument);

    public static implicit operator Argument(bool value) => new(NativeTag.Bool, value ? 1 : 0);

    public static implicit operator Argument(long[]? values) => values is null ? default : new(NativeTag.IntList, 0, values);

    public static implicit operator Argument(ReadOnlySpan<long> values) => new(NativeTag.IntList, 0, values.ToArray());

    public static implicit operator Argument(torch.Tensor?[] tensors) => new(NativeTag.TensorList, 0, tensors);

    public static implicit operator Argument(List<torch.Tensor> tensors) => new(NativeTag.TensorList, 0, tensors.ToArray());

    public static implicit operator Argument(string? value) => value is null ? default : new(NativeTag.String, 0, System.Text.Encoding.UTF8.GetBytes(value));

    public static implicit operator Argument(Scalar? scalar) => scalar is null ? default : scalar.Argument;

    public static implicit operator Argument(torch.ScalarType type) => new(NativeTag.Int, (long)type);

    public static implicit operator Argument(torch.ScalarType? type) => type is { } t ? new(NativeTag.Int, (long)t) : default;

    public static implicit operator Argument(torch.Device? device) =>
        device is null ? default : new(NativeTag.Device, (long)device.type, null, device.index);
}
