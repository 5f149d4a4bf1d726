using Google.Protobuf;
using KdServing.Distiller.Publishing.Onnx;

namespace KdServing.LoadTests.Chaos;

/// <summary>Graph files that would do harm if ONNX Runtime opened them: data outside the file, bombs, nesting, foreign operators.</summary>
/// <remarks>
/// Each is a good graph with one thing added, so that nothing but the check of that thing stands in its way. Field numbers are those
/// of onnx.proto3, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3. What external data has done before: CVE-2024-27318,
/// CVE-2024-5187, CVE-2025-51480; the marker for data in memory is ONNX Runtime's own (<c>*/_ORT_MEM_ADDR_/*</c>).
/// </remarks>
internal static class MaliciousGraphs
{
    private const int GraphNode = 1;
    private const int GraphInitializer = 5;
    private const int Float = 1;

    /// <summary>Graphs with tensors whose data lies elsewhere.</summary>
    /// <param name="good">A graph file that loads.</param>
    /// <param name="canary">A file outside the version that nobody may open.</param>
    public static IEnumerable<(string Name, byte[] File)> ExternalData(byte[] good, string canary)
    {
        var name = Path.GetFileName(canary);
        var folder = Path.GetDirectoryName(canary)!;
        string[] locations =
        [
            canary, "/" + canary, "file://" + canary, "file:" + canary, folder + "/./" + name, folder + "//" + name, folder + "/../" + Path.GetFileName(folder) + "/" + name,
            "link", "hardlink", "link/../link", "./link", "rows.bin", "../2/rows.bin", "../1/rows.bin", "manifest.json",
            "*/_ORT_MEM_ADDR_/*", "*/_ORT_MEM_ADDR_/*/" + canary, "", ".", "..", "/", "/proc/self/environ", "/proc/self/mem", "/dev/zero", "/etc/passwd",
            "C:\\Windows\\win.ini", "\\\\server\\share", "..\\..\\" + name, "%2e%2e%2f" + name, "..%2f" + name, "\0" + canary, canary + "\0.bin",
            .. Enumerable.Range(1, 12).Select(n => string.Concat(Enumerable.Repeat("../", n)) + canary.TrimStart('/')),
            .. Enumerable.Range(1, 6).Select(n => "sub/" + string.Concat(Enumerable.Repeat("../", n)) + name),
        ];
        foreach (var location in locations)
            yield return ($"external data at '{location}'", WithInitializer(good, External(location, Protobuf.Number(14, 1))));
        // The same tensor where a scan may not look for it.
        yield return ("external data without its marker", WithInitializer(good, External(canary, [])));
        yield return ("external data beside raw data", WithInitializer(good, [.. External(canary, Protobuf.Number(14, 1)), .. Protobuf.Field(9, new byte[16])]));
        yield return ("external data in a node's attribute", WithNode(good, Node("Constant", Protobuf.Field(5, [.. Protobuf.Field(1, "value"), .. Protobuf.Field(5, External(canary, Protobuf.Number(14, 1)))]))));
        yield return ("external data in a list attribute", WithNode(good, Node("Constant", Protobuf.Field(5, [.. Protobuf.Field(1, "value"), .. Protobuf.Field(10, External(canary, Protobuf.Number(14, 1)))]))));
        yield return ("external data in a subgraph", WithNode(good, Node("If", Protobuf.Field(5, [.. Protobuf.Field(1, "then_branch"),
            .. Protobuf.Field(6, Protobuf.Field(GraphInitializer, External(canary, Protobuf.Number(14, 1))))]))));
        yield return ("external data in a sparse initializer", WithGraphField(good, Protobuf.Field(15, Protobuf.Field(1, External(canary, Protobuf.Number(14, 1))))));
        yield return ("external data in training information", [.. good, .. Protobuf.Field(20, Protobuf.Field(1, Protobuf.Field(GraphInitializer, External(canary, Protobuf.Number(14, 1)))))]);
        yield return ("external data in a function", [.. good, .. Protobuf.Field(25, Protobuf.Field(7, Node("Constant", Protobuf.Field(5, Protobuf.Field(5, External(canary, Protobuf.Number(14, 1)))))))]);
        yield return ("external data in a second graph", [.. good, .. Protobuf.Field(7, Protobuf.Field(GraphInitializer, External(canary, Protobuf.Number(14, 1))))]);
    }

    /// <summary>Graphs that ask for memory or time without end, or for code that is not ours.</summary>
    public static IEnumerable<(string Name, byte[] File)> Bombs(byte[] good)
    {
        foreach (var size in (long[])[1 << 20, 1L << 31, 1L << 40, long.MaxValue, -1])
        {
            foreach (var op in (string[])["Tile", "Expand", "ConstantOfShape", "Range", "Pad", "Resize", "OneHot", "RandomNormal", "EyeLike", "NonZero"])
                yield return ($"{op} of {size}", WithNode(WithInitializer(good, Shape($"size_{op}", size)), Node(op, Protobuf.Field(1, $"size_{op}"))));
        }
        foreach (var depth in (int[])[1, 2, 10, 63, 64, 100, 1000, 5000])
        {
            foreach (var (op, attribute) in ((string, string)[])[("If", "then_branch"), ("Loop", "body"), ("Scan", "body")])
                yield return ($"{op} nested {depth} deep", WithNode(good, Nested(op, attribute, depth)));
        }
        foreach (var op in (string[])["Loop", "If", "Scan", "SequenceMap", "Optional", "StringNormalizer", "ImageDecoder", "MatMul", "Einsum", "Conv", "LSTM", "Cast", "Identity", "Softmax", "TopK", "SplitToSequence", "TfIdfVectorizer", "ReverseSequence", "STFT", "DFT", "Unique", "Compress", "GridSample", "CenterCropPad", "Hardmax",
            "gemm", "GEMM", "Gemm ", "Gemm\0", "", new('G', 5000)])
        {
            yield return ($"operator '{op[..Math.Min(op.Length, 20)]}'", WithNode(good, Node(op)));
        }
        foreach (var domain in (string[])["com.microsoft", "com.microsoft.nchwc", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "org.pytorch.aten", "custom", "ai.onnx ", "AI.ONNX", "\0", "../evil.so"])
        {
            yield return ($"domain '{domain}'", WithNode(good, [.. Node("Gemm"), .. Protobuf.Field(7, domain)]));
            yield return ($"opset of domain '{domain}'", [.. good, .. Protobuf.Field(8, [.. Protobuf.Field(1, domain), .. Protobuf.Number(2, 1)])]);
        }
        foreach (var dims in (long[][])[[long.MaxValue, long.MaxValue], [1L << 32, 1L << 32], [-1], [0, -5], [1L << 62, 4], [int.MaxValue, int.MaxValue], [1, 1, 1, 1, 1, 1, 1, 1], [3, 7]])
        {
            foreach (var type in (ulong[])[1, 7, 8, 10, 16])
                yield return ($"tensor of type {type} and shape [{string.Join(", ", dims)}]", WithInitializer(good, Tensor("t", dims, type, new byte[8])));
        }
        for (var cut = 1; cut <= 20; cut++)
            yield return ($"file cut to {cut * 4} %", good[..(good.Length * cut * 4 / 100)]);
        foreach (var count in (int[])[1000, 100_000])
            yield return ($"{count} nodes", WithNode(good, [.. Enumerable.Repeat(Node("Relu"), count).SelectMany(n => Protobuf.Field(GraphNode, n))], alreadyFields: true));
        foreach (var version in (ulong[])[0, 1, 12, 99, ulong.MaxValue])
            yield return ($"opset {version} alone", WithOpset(good, version));
        yield return ("a second input", WithGraphField(good, Protobuf.Field(11, Protobuf.Field(1, "door"))));
        yield return ("a second output", WithGraphField(good, Protobuf.Field(12, Protobuf.Field(1, "door"))));
        yield return ("a function", [.. good, .. Protobuf.Field(25, Protobuf.Field(1, "f"))]);
        yield return ("a field of a later release", [.. good, .. Protobuf.Field(26, "x")]);
        yield return ("quantization annotations", WithGraphField(good, Protobuf.Field(14, Protobuf.Field(1, "x"))));
        yield return ("nothing", []);
        yield return ("text", "not a graph"u8.ToArray());
        yield return ("a length beyond the file", [0x3a, 0xff, 0xff, 0xff, 0xff, 0x07]);
        yield return ("a varint without end", [.. Enumerable.Repeat((byte)0xff, 64)]);
        yield return ("group fields", [.. good, 0x3b, 0x3c]);
        yield return ("zeros", new byte[1 << 20]);
    }

    private static byte[] External(string location, byte[] marker) =>
    [
        .. Tensor("stolen", [4], Float, null),
        .. Protobuf.Field(13, [.. Protobuf.Field(1, "location"), .. Protobuf.Field(2, location)]),
        .. Protobuf.Field(13, [.. Protobuf.Field(1, "offset"), .. Protobuf.Field(2, "0")]),
        .. Protobuf.Field(13, [.. Protobuf.Field(1, "length"), .. Protobuf.Field(2, "16")]),
        .. marker,
    ];

    private static byte[] Shape(string name, long size) => Tensor(name, [1], 7, BitConverter.GetBytes(size));

    private static byte[] Tensor(string name, long[] dims, ulong type, byte[]? raw) =>
    [
        .. dims.SelectMany(d => Protobuf.Number(1, (ulong)d)), .. Protobuf.Number(2, type), .. Protobuf.Field(8, name),
        .. raw is null ? [] : Protobuf.Field(9, raw),
    ];

    private static byte[] Node(string op, params byte[] more) => [.. Protobuf.Field(2, "harm"), .. Protobuf.Field(4, op), .. more];

    private static byte[] Nested(string op, string attribute, int depth)
    {
        var node = Node("Relu");
        for (var level = 0; level < depth; level++)
            node = Node(op, Protobuf.Field(5, [.. Protobuf.Field(1, attribute), .. Protobuf.Field(6, Protobuf.Field(GraphNode, node)), .. Protobuf.Number(20, 5)]));
        return node;
    }

    private static byte[] WithInitializer(byte[] good, byte[] tensor) => WithGraphField(good, Protobuf.Field(GraphInitializer, tensor));

    private static byte[] WithNode(byte[] good, byte[] node, bool alreadyFields = false) =>
        WithGraphField(good, alreadyFields ? node : Protobuf.Field(GraphNode, node));

    // Fields of a message may come in any order.
    private static byte[] WithGraphField(byte[] good, byte[] field)
    {
        var model = ModelProto.Parser.ParseFrom(good);
        var graph = model.Graph.ToByteArray();
        model.Graph = null;
        return [.. model.ToByteArray(), .. Protobuf.Field(7, [.. graph, .. field])];
    }

    private static byte[] WithOpset(byte[] good, ulong version)
    {
        var model = ModelProto.Parser.ParseFrom(good);
        model.OpsetImport.Clear();
        return [.. model.ToByteArray(), .. Protobuf.Field(8, Protobuf.Number(2, version))];
    }
}
