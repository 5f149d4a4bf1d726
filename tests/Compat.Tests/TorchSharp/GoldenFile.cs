using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using static TorchSharp.torch;

namespace KdServing.Compat.Tests.TorchSharp;

/// <summary>What Golden/pytorch_golden.py wrote.</summary>
internal sealed record GoldenFile(List<GoldenCase> Cases, List<GoldenOptimizer> Optimizers)
{
    private static readonly JsonSerializerOptions s_options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowReadingFromString,
    };

    internal static string Folder([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "Golden");

    internal static GoldenFile Committed { get; } = Parse(File.ReadAllText(Path.Combine(Folder(), "pytorch_golden.json")));

    internal static GoldenFile Parse(string json) => JsonSerializer.Deserialize<GoldenFile>(json, s_options)!;
}

internal sealed record GoldenCase(string Name, List<GoldenTensor> Inputs, List<GoldenTensor> Outputs, List<GoldenTensor?>? Grads);

internal sealed record GoldenOptimizer(string Name, string Dtype, List<GoldenTensor> Parameters, List<List<GoldenTensor?>> Grads, List<GoldenTensor> Result);

/// <summary>Type, shape and row-major elements; bools and integers are stored as they are, "nan" and "inf" as text.</summary>
internal sealed record GoldenTensor(string Dtype, long[] Shape, List<JsonElement> Data, bool Grad = false)
{
    internal ScalarType Type => Dtype switch
    {
        "float32" => ScalarType.Float32,
        "float64" => ScalarType.Float64,
        "int64" => ScalarType.Int64,
        "int32" => ScalarType.Int32,
        "bool" => ScalarType.Bool,
        _ => throw new InvalidDataException(Dtype),
    };

    internal double[] Numbers => [.. Data.Select(Number)];

    internal Tensor Create() => tensor(Numbers, Shape, Type, requires_grad: Grad);

    internal void AssertEquals(Tensor actual, string what)
    {
        Assert.True(Type == actual.dtype, $"{what}: element type {actual.dtype}, PyTorch has {Dtype}");
        Assert.True(Shape.SequenceEqual(actual.shape), $"{what}: shape [{string.Join(", ", actual.shape)}], PyTorch has [{string.Join(", ", Shape)}]");
        AssertClose(Numbers, Doubles(actual), Type == ScalarType.Float64 ? 1e-9 : 1e-5, what);
    }

    internal static void AssertClose(double[] expected, double[] actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            var close = expected[i].Equals(actual[i]) || Math.Abs(expected[i] - actual[i]) <= tolerance * Math.Max(1, Math.Abs(expected[i]));
            Assert.True(close, $"{what}: element {i} is {actual[i]:R}, PyTorch has {expected[i]:R}");
        }
    }

    internal static double[] Doubles(Tensor tensor)
    {
        using var wide = tensor.detach().to(ScalarType.Float64);
        return wide.data<double>().ToArray();
    }

    private static double Number(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.True => 1,
        JsonValueKind.False => 0,
        JsonValueKind.String => element.GetString() switch
        {
            "nan" => double.NaN,
            "inf" => double.PositiveInfinity,
            _ => double.NegativeInfinity,
        },
        _ => element.GetDouble(),
    };
}
