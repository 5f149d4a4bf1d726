using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace KdServing.Compat.Tests.TorchSharp;

/// <summary>Data in and out, metadata, errors, seeds, autograd modes.</summary>
[Collection(TorchCollection.Name)]
public sealed class TensorTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void Values_come_out_as_they_went_in()
    {
        Assert.Equal([1.5f, -2, 3], tensor(new[] { 1.5f, -2, 3 }).data<float>().ToArray());
        Assert.Equal([long.MaxValue, 2], tensor(new[] { long.MaxValue, 2 }).data<long>().ToArray());
        Assert.Equal([1.5, 2], tensor(new[] { 1.5, 2 }).data<double>().ToArray());
        Assert.Equal([true, false], tensor(new[] { true, false }).data<bool>().ToArray());
        Assert.Equal([7, 8], tensor(new[] { 7, 8 }).data<int>().ToArray());
        Assert.Equal([1f, 2, 3, 4, 5, 6], tensor(new float[,] { { 1, 2, 3 }, { 4, 5, 6 } }).data<float>().ToArray());
        Assert.Equal([2, 3], tensor(new float[] { 1, 2, 3, 4, 5, 6 }, [2, 3]).shape);
        Assert.Equal([2, 3], tensor(new List<float> { 1, 2, 3, 4, 5, 6 }, 2, 3).shape);
        Assert.Equal([5f, 6], tensor(new float[] { 1, 5, 6 }.AsMemory(1), [2]).data<float>().ToArray());
        Assert.Equal(ScalarType.Float64, tensor(new[] { 1f }, ScalarType.Float64).dtype);
        Assert.Empty(zeros(0, 4).data<float>().ToArray());
    }

    [Fact]
    public void A_tensor_made_from_an_array_is_a_copy()
    {
        var array = new[] { 1f, 2 };
        var copy = tensor(array);
        array[0] = 9;
        Assert.Equal(1, copy[0].item<float>());
    }

    [Fact]
    public void Spans_are_copied_in_and_out()
    {
        var target = zeros(2, 3);
        target.data<float>().CopyFrom([1f, 2, 3, 4], tensorIndex: 2);
        Assert.Equal([0f, 0, 1, 2, 3, 4], target.data<float>().ToArray());
        Span<float> part = stackalloc float[2];
        target.data<float>().CopyTo(part, tensorIndex: 3);
        Assert.Equal([2f, 3], part.ToArray());
        target.data<float>().CopyTo(part, 1);
        Assert.Equal([2f, 0], part.ToArray());
        Assert.Equal(24, target.bytes.Length);
        MemoryMarshal.Cast<byte, float>(target.bytes)[0] = 8;
        Assert.Equal(8, target[0, 0].item<float>());
        target.bytes = MemoryMarshal.AsBytes(new float[] { 6, 5, 4, 3, 2, 1 }.AsSpan());
        Assert.Equal([6f, 5, 4, 3, 2, 1], target.data<float>().ToArray());
        Assert.Throws<ArgumentException>(() => target.bytes = new byte[3]);
    }

    [Fact]
    public void A_transposed_tensor_reads_and_writes_in_its_own_order()
    {
        var turned = tensor(new float[] { 1, 2, 3, 4, 5, 6 }, [2, 3]).t();
        Assert.False(turned.is_contiguous());
        Assert.Equal([1f, 4, 2, 5, 3, 6], turned.data<float>().ToArray());
        Assert.Equal([1f, 4, 2, 5, 3, 6], turned.data<float>());
        var part = new float[3];
        turned.data<float>().CopyTo(part, 1, 4);
        Assert.Equal([0f, 3, 6], part);
        turned.data<float>().CopyFrom([7f], tensorIndex: 1);
        Assert.Equal(7, turned.data<float>()[0, 1]);
        Assert.Equal(7, turned.data<float>()[1]);
        Assert.Throws<NotImplementedException>(() => turned.bytes.Length);
    }

    [Fact]
    public void Reading_with_the_wrong_type_or_place_says_so()
    {
        var tensor = ones(2, 3);
        Assert.Contains("Double", Assert.Throws<ArgumentException>(() => tensor.data<double>()).Message);
        Assert.Throws<ArgumentException>(() => tensor.item<float>());
        Assert.Throws<IndexOutOfRangeException>(() => tensor.data<float>()[2, 0]);
        Assert.Throws<ArgumentException>(() => tensor.data<float>()[1, 1, 1]);
    }

    [Fact]
    public void Scalars_convert_from_any_type()
    {
        Assert.Equal(3, tensor(3L).ToInt32());
        Assert.Equal(long.MaxValue, tensor(long.MaxValue).ToInt64());
        Assert.Equal(2.5f, tensor(2.5).ToSingle());
        Assert.Equal(0.1, tensor(0.1).ToDouble());
        Assert.True(tensor(true).ToBoolean());
        Assert.Equal(2, (int)tensor(2.9f));
        Assert.Equal(2.5, (double)tensor(2.5f));
        Assert.Equal((byte)7, tensor(7).ToByte());
        Assert.Equal((short)7, tensor(7).ToInt16());
    }

    [Fact]
    public void Shape_and_type_are_known()
    {
        var x = zeros(2, 3, 4);
        Assert.Equal((3, 24, 4, 3), (x.ndim, x.numel(), x.element_size(), x.size(-2)));
        Assert.Equal([12, 4, 1], x.stride());
        Assert.Equal(4, x.select(1, 1).storage_offset());
        Assert.Equal(CPU, x.device);
        Assert.Equal("cpu", x.device.ToString());
        Assert.Equal(new Device("cuda:1"), new Device(DeviceType.CUDA, 1));
        Assert.Throws<ArgumentException>(() => new Device("tpu"));
        Assert.True(x.is_floating_point());
        Assert.True(ones(1, int64).is_integral());
        Assert.Contains("2x3x4", x.ToString());
    }

    [Fact]
    public void What_libtorch_refuses_arrives_with_its_words()
    {
        var error = Assert.Throws<ExternalException>(() => ones(2, 3).matmul(ones(2, 3)));
        Assert.Contains("2x3 and 2x3", error.Message);
        Assert.Contains("out of range", Assert.Throws<ExternalException>(() => ones(2).sum(dim: 5)).Message, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("out of range", Assert.Throws<ExternalException>(() => ones(2, 2).index_select(0, tensor(new long[] { 7 }))).Message, StringComparison.OrdinalIgnoreCase);
        Assert.Throws<ExternalException>(() => tensor(new float[] { 1, 2, 3 }, [2, 2]));
        Assert.Throws<ExternalException>(() => ones(2).backward());
    }

    [Fact]
    public void After_an_error_the_next_call_works()
    {
        for (var i = 0; i < 100; i++)
        {
            Assert.Throws<ExternalException>(() => ones(2, 3).mm(ones(2, 3)));
            Assert.Equal(6, ones(2, 3).sum().item<float>());
        }
    }

    [Fact]
    public void A_disposed_tensor_is_refused_before_libtorch_sees_it()
    {
        var gone = ones(1);
        gone.Dispose();
        Assert.Throws<InvalidOperationException>(() => gone + 1);
        Assert.Throws<InvalidOperationException>(() => cat([ones(1), gone]));
        Assert.Equal("[disposed]", gone.ToString());
    }

    [Fact]
    public void The_same_seed_gives_the_same_numbers()
    {
        manual_seed(42);
        var first = randn(100).data<float>().ToArray();
        var second = randn(100).data<float>().ToArray();
        manual_seed(42);
        Assert.Equal(first, randn(100).data<float>().ToArray());
        Assert.NotEqual(first, second);
    }

    [Fact]
    public void Gradients_accumulate_until_cleared()
    {
        var x = tensor(new[] { 1f, 2 }, requires_grad: true);
        Assert.Null(x.grad);
        (x * x).sum().backward();
        (x * x).sum().backward();
        Assert.Equal([4f, 8], x.grad!.data<float>().ToArray());
        x.grad = null;
        Assert.Null(x.grad);
        x.mul(3).backward([tensor(new[] { 1f, 10 })]);
        Assert.Equal([3f, 30], x.grad!.data<float>().ToArray());
    }

    [Fact]
    public void Gradients_of_gradients()
    {
        var x = tensor(new[] { 2f }, requires_grad: true);
        var slope = autograd.grad([x.pow(3)], [x], create_graph: true)[0];
        Assert.Equal(12, slope.item<float>());
        Assert.Equal(12, autograd.grad([slope], [x])[0].item<float>());
        Assert.Null(x.grad);
    }

    [Fact]
    public void Only_the_named_inputs_collect_gradients()
    {
        var (x, y) = (tensor(new[] { 2f }, requires_grad: true), tensor(new[] { 3f }, requires_grad: true));
        (x * y).backward(inputs: [x]);
        Assert.Equal(3, x.grad!.item<float>());
        Assert.Null(y.grad);
        Assert.Throws<ExternalException>(() => autograd.grad([x * 2], [y]));
        Assert.Null(autograd.grad([x * 2], [y], allow_unused: true)[0]);
    }

    [Fact]
    public void A_value_inside_the_graph_keeps_its_gradient_when_asked()
    {
        var x = tensor(new[] { 2f }, requires_grad: true);
        var middle = x * 3;
        middle.retain_grad();
        (middle * middle).backward();
        Assert.Equal(12, middle.grad!.item<float>());
        Assert.False(middle.is_leaf);
        Assert.True(x.is_leaf);
    }

    [Fact]
    public void Modes_nest_and_come_back()
    {
        var x = tensor(new[] { 2f }, requires_grad: true);
        Assert.True(is_grad_enabled());
        using (no_grad())
        {
            Assert.False((x * 2).requires_grad);
            using (enable_grad())
                Assert.True((x * 2).requires_grad);
            Assert.False(is_grad_enabled());
        }
        Assert.True((x * 2).requires_grad);
    }

    [Fact]
    public void Threads_are_set_and_read()
    {
        var before = get_num_threads();
        set_num_threads(1);
        Assert.Equal(1, get_num_threads());
        set_num_threads(before);
        Assert.Equal(cuda.is_available(), cuda.device_count() > 0);
    }

    [Fact]
    public void Saved_tensors_come_back_and_others_are_refused()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        var saved = randn(3, 4).t();
        saved.Save(writer);
        stream.Position = 0;
        using var reader = new BinaryReader(stream);
        var loaded = zeros(4, 3);
        loaded.Load(reader);
        Assert.True(loaded.equal(saved));
        stream.Position = 0;
        Assert.Contains("[4, 3]", Assert.Throws<ArgumentException>(() => zeros(2).Load(reader)).Message);
    }
}
