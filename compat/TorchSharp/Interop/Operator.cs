using System.Runtime.CompilerServices;

namespace TorchSharp.Interop;

/// <summary>An ATen operator, found in libtorch's dispatcher by name and overload at its first call. Thread-safe.</summary>
internal sealed unsafe class Operator(string name, string overload = "")
{
    private nint _handle;

    /// <summary>The operator's full name, as in <c>native_functions.yaml</c>.</summary>
    public string Name => overload.Length == 0 ? name : $"{name}.{overload}";

    /// <summary>Calls so far; approximate when threads race.</summary>
    public long Calls { get; private set; }

    /// <summary>Calls an operator that returns one tensor.</summary>
    public torch.Tensor Call(params ReadOnlySpan<Argument> arguments)
    {
        Invoke(arguments, false, out var results, out var count);
        if (count != 1 || results->Tag != NativeTag.Tensor)
            throw new InvalidOperationException($"{Name} returned {count} values where one tensor was expected.");
        return new torch.Tensor((nint)results->Payload);
    }

    /// <summary>Calls an operator that returns two tensors.</summary>
    public (torch.Tensor First, torch.Tensor Second) CallPair(params ReadOnlySpan<Argument> arguments)
    {
        var tensors = Collect(arguments);
        return (tensors[0], tensors[1]);
    }

    /// <summary>Calls an operator that returns any number of tensors.</summary>
    public torch.Tensor[] CallMany(params ReadOnlySpan<Argument> arguments) => Collect(arguments);

    /// <summary>Calls an operator that returns a bool.</summary>
    public bool CallBool(params ReadOnlySpan<Argument> arguments)
    {
        Invoke(arguments, false, out var results, out _);
        return results->Payload != 0;
    }

    /// <summary>Calls an operator that returns one number: an integer, a real or a bool.</summary>
    public NativeValue CallNumber(params ReadOnlySpan<Argument> arguments)
    {
        Invoke(arguments, false, out var results, out _);
        return *results;
    }

    /// <summary>Calls an operator that works in place on <paramref name="self"/>, and gives that back.</summary>
    public torch.Tensor On(torch.Tensor self)
    {
        Invoke([self], true, out _, out _);
        return self;
    }

    public torch.Tensor On(torch.Tensor self, Argument argument)
    {
        Invoke([self, argument], true, out _, out _);
        return self;
    }

    public torch.Tensor On(torch.Tensor self, Argument first, Argument second)
    {
        Invoke([self, first, second], true, out _, out _);
        return self;
    }

    public torch.Tensor On(torch.Tensor self, Argument first, Argument second, Argument third)
    {
        Invoke([self, first, second, third], true, out _, out _);
        return self;
    }

    private torch.Tensor[] Collect(ReadOnlySpan<Argument> arguments)
    {
        Invoke(arguments, false, out var results, out var count);
        var tensors = new torch.Tensor[count];
        for (var i = 0; i < count; i++)
            tensors[i] = new torch.Tensor((nint)results[i].Payload);
        return tensors;
    }

    private void Invoke(ReadOnlySpan<Argument> arguments, bool discard, out NativeValue* results, out int count)
    {
        if (_handle == 0)
        {
            NativeMethods.Check(NativeMethods.kd_operator("aten::" + name, overload, out var handle));
            _handle = handle;
        }
        Calls++;
        var words = 0;
        foreach (ref readonly var argument in arguments)
            words += argument.Reference is Array list ? Words(list) : 0;
        var values = stackalloc NativeValue[arguments.Length];
        var pool = words <= 64 ? stackalloc long[64] : new long[words];
        fixed (long* buffer = pool)
        {
            var next = buffer;
            for (var i = 0; i < arguments.Length; i++)
                values[i] = Lower(in arguments[i], ref next);
            NativeMethods.Check(NativeMethods.kd_call(_handle, values, arguments.Length, discard ? 1 : 0, out results, out count));
        }
        // A tensor whose last use is this call must not be finalised while native code reads it.
        foreach (ref readonly var argument in arguments)
            GC.KeepAlive(argument.Reference);
    }

    private static int Words(Array list) => list is byte[]? (list.Length + 7) / 8 : list.Length;

    private static NativeValue Lower(in Argument argument, ref long* next)
    {
        var value = new NativeValue { Tag = argument.Tag, Count = argument.Index, Payload = argument.Payload };
        switch (argument.Reference)
        {
            case long[] integers:
                integers.CopyTo(new Span<long>(next, integers.Length));
                break;
            case torch.Tensor?[] tensors:
                for (var i = 0; i < tensors.Length; i++)
                    next[i] = tensors[i]?.Handle ?? 0;
                break;
            case byte[] text:
                text.CopyTo(new Span<byte>(next, text.Length));
                break;
            default:
                return value;
        }
        var list = Unsafe.As<Array>(argument.Reference);
        value.Count = list.Length;
        value.Payload = (nint)next;
        next += Words(list);
        return value;
    }
}
