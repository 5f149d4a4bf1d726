using System.Runtime.InteropServices;
using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Distiller.Publishing.Onnx;

/// <summary>Writes ONNX models; tables go from native memory to the file without a copy in between.</summary>
public static class OnnxFile
{
    /// <summary>No protobuf message may be longer: a model with larger tables has no <c>ranker.onnx</c>.</summary>
    public const long MaxBytes = int.MaxValue;

    private const int GraphTag = (ModelProto.GraphFieldNumber << 3) | 2;
    private const int InitializerTag = (GraphProto.InitializerFieldNumber << 3) | 2;
    private const int RawDataTag = (TensorProto.RawDataFieldNumber << 3) | 2;

    /// <summary>Bytes <see cref="Write"/> will write.</summary>
    public static long Size(ModelProto model, IReadOnlyList<EmbeddingTable> tables)
    {
        var graph = GraphSize(model, tables);
        return Shell(model).CalculateSize() + Prefix(GraphTag, graph) + graph;
    }

    /// <summary>Writes the model with each table as the initializer <see cref="RankerGraph.TableName"/>.</summary>
    /// <exception cref="ArgumentException">The file would be longer than <see cref="MaxBytes"/>.</exception>
    public static void Write(Stream stream, ModelProto model, IReadOnlyList<EmbeddingTable> tables)
    {
        if (Size(model, tables) > MaxBytes)
            throw new ArgumentException($"the tables of graph '{model.Graph.Name}' do not fit into one ONNX file of 2 GiB");
        var shell = Shell(model);
        shell.WriteTo(stream);
        WritePrefix(stream, GraphTag, GraphSize(model, tables));
        model.Graph.WriteTo(stream);
        foreach (var table in tables)
        {
            WritePrefix(stream, InitializerTag, TensorSize(table));
            Tensor(table).WriteTo(stream);
            WritePrefix(stream, RawDataTag, DataSize(table));
            for (var row = 0; row < table.Rows; row++)
                stream.Write(MemoryMarshal.AsBytes(table[row]));
        }
    }

    private static ModelProto Shell(ModelProto model)
    {
        var shell = model.Clone();
        shell.Graph = null;
        return shell;
    }

    private static TensorProto Tensor(EmbeddingTable table) => new()
    {
        Name = RankerGraph.TableName(table.Shape),
        DataType = TensorProto.Types.DataType.Float,
        Dims = { table.Rows, table.Width },
    };

    private static long GraphSize(ModelProto model, IReadOnlyList<EmbeddingTable> tables) =>
        model.Graph.CalculateSize() + tables.Sum(t => Prefix(InitializerTag, TensorSize(t)) + TensorSize(t));

    private static long TensorSize(EmbeddingTable table) =>
        Tensor(table).CalculateSize() + Prefix(RawDataTag, DataSize(table)) + DataSize(table);

    private static long DataSize(EmbeddingTable table) => (long)table.Rows * table.Width * sizeof(float);

    private static long Prefix(int tag, long length) =>
        CodedOutputStream.ComputeUInt32Size((uint)tag) + CodedOutputStream.ComputeUInt64Size((ulong)length);

    private static void WritePrefix(Stream stream, int tag, long length)
    {
        using var output = new CodedOutputStream(stream, leaveOpen: true);
        output.WriteUInt32((uint)tag);
        output.WriteUInt64((ulong)length);
    }
}
