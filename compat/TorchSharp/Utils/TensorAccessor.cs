using System.Collections;

namespace TorchSharp.Utils;

/// <summary>
/// Reads and writes a CPU tensor's elements in row-major order, whatever its strides. Borrows the tensor's memory: use it
/// only while the tensor lives.
/// </summary>
public sealed class TensorAccessor<T> : IDisposable, IEnumerable<T> where T : unmanaged
{
    private readonly torch.Tensor _tensor;
    private readonly long[] _shape;
    private readonly long[] _strides;
    private readonly bool _dense;
    private readonly nint _data;

    internal TensorAccessor(torch.Tensor tensor)
    {
        _tensor = tensor;
        _shape = tensor.shape;
        _strides = tensor.stride();
        _dense = tensor.is_contiguous();
        _data = tensor.DataPointer();
        Count = tensor.NumberOfElements;
    }

    /// <summary>Elements in the tensor.</summary>
    public long Count { get; }

    public unsafe T this[params long[] indices]
    {
        get => ((T*)_data)[Offset(indices)];
        set => ((T*)_data)[Offset(indices)] = value;
    }

    public T[] ToArray()
    {
        var result = new T[Count];
        CopyTo(result);
        return result;
    }

    public bool IsReadOnly => false;

    public void CopyTo(T[] array, int arrayIndex = 0, long tensorIndex = 0) => CopyTo(array.AsSpan(), arrayIndex, tensorIndex);

    /// <summary>Copies from element <paramref name="tensorIndex"/> on, as many as both sides hold.</summary>
    public unsafe void CopyTo(Span<T> array, int arrayIndex = 0, long tensorIndex = 0)
    {
        var target = array[arrayIndex..];
        var count = (int)Math.Min(Count - tensorIndex, target.Length);
        if (_dense)
            new ReadOnlySpan<T>((T*)_data + tensorIndex, count).CopyTo(target);
        else
            for (var i = 0; i < count; i++)
                target[i] = At(tensorIndex + i);
        GC.KeepAlive(_tensor);
    }

    public void CopyFrom(T[] array, int arrayIndex = 0, long tensorIndex = 0) => CopyFrom((ReadOnlySpan<T>)array, arrayIndex, tensorIndex);

    /// <summary>Overwrites from element <paramref name="tensorIndex"/> on, as many as both sides hold.</summary>
    public unsafe void CopyFrom(ReadOnlySpan<T> array, int arrayIndex = 0, long tensorIndex = 0)
    {
        var source = array[arrayIndex..];
        var count = (int)Math.Min(Count - tensorIndex, source.Length);
        if (_dense)
            source[..count].CopyTo(new Span<T>((T*)_data + tensorIndex, count));
        else
            for (var i = 0; i < count; i++)
                ((T*)_data)[LinearOffset(tensorIndex + i)] = source[i];
        GC.KeepAlive(_tensor);
    }

    /// <summary>Nothing: the memory is the tensor's.</summary>
    public void Dispose()
    {
    }

    public IEnumerator<T> GetEnumerator()
    {
        for (long i = 0; i < Count; i++)
            yield return At(i);
        GC.KeepAlive(_tensor);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private unsafe T At(long i) => ((T*)_data)[_dense ? i : LinearOffset(i)];

    private long Offset(long[] indices)
    {
        // A single index into a tensor of several dimensions counts elements in row-major order.
        if (indices.Length == 1 && _shape.Length != 1)
            return LinearOffset(Checked(indices[0], Count));
        if (indices.Length != _shape.Length)
            throw new ArgumentException($"{indices.Length} indices given for a tensor of {_shape.Length} dimensions.", nameof(indices));
        long offset = 0;
        for (var d = 0; d < indices.Length; d++)
            offset += Checked(indices[d], _shape[d]) * _strides[d];
        return offset;
    }

    private static long Checked(long index, long length) =>
        (ulong)index < (ulong)length ? index : throw new IndexOutOfRangeException($"Index {index} is outside 0..{length - 1}.");

    private long LinearOffset(long i)
    {
        if (_dense)
            return i;
        long offset = 0;
        for (var d = _shape.Length - 1; d >= 0; d--)
        {
            offset += i % _shape[d] * _strides[d];
            i /= _shape[d];
        }
        return offset;
    }
}
