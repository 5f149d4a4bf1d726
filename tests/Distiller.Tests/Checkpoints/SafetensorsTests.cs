using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;

namespace KdServing.Distiller.Tests.Checkpoints;

public sealed class SafetensorsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private string PathOfFile => Path.Combine(folder.Path, "x.safetensors");

    public void Dispose() => folder.Dispose();

    [Fact]
    public void What_was_written_is_read()
    {
        using var table = new EmbeddingTable(new("t", 1000, 16), 1, 1);
        using var copy = new EmbeddingTable(new("t", 1000, 16));
        var writer = new SafetensorsWriter();
        writer.AddMetadata("steps", "12");
        writer.Add("a", [2, 3], [1, 2, 3, 4, 5, 6]);
        writer.Add("empty", [0, 4], []);
        writer.Add("table", table);
        using (var stream = File.Create(PathOfFile))
            writer.Write(stream);

        using var file = new SafetensorsFile(PathOfFile);
        file.Read("table", copy);

        Assert.Equal("12", file.Metadata["steps"]);
        Assert.Equal(["a", "empty", "table"], file.Names.Order());
        Assert.Equal([1, 2, 3, 4, 5, 6], file.Read("a", 2, 3));
        Assert.Equal(table[999].ToArray(), copy[999].ToArray());
        Assert.Throws<ContractException>(() => file.Read("a", 3, 2));
        Assert.Throws<ContractException>(() => file.Read("b", 3));
    }

    // The layout as its specification says, read without our reader.
    [Fact]
    public void The_layout_is_that_of_the_format()
    {
        var writer = new SafetensorsWriter();
        writer.Add("a", [1, 2], [1.5f, -2]);
        using (var stream = File.Create(PathOfFile))
            writer.Write(stream);
        var bytes = File.ReadAllBytes(PathOfFile);

        var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        using var header = JsonDocument.Parse(bytes.AsMemory(8, length));
        var tensor = header.RootElement.GetProperty("a");

        Assert.Equal(0, length % 8);
        Assert.Equal("F32", tensor.GetProperty("dtype").GetString());
        Assert.Equal("[1,2]", tensor.GetProperty("shape").GetRawText());
        Assert.Equal("[0,8]", tensor.GetProperty("data_offsets").GetRawText());
        Assert.Equal(8 + length + 8, bytes.Length);
        Assert.Equal(1.5f, BitConverter.ToSingle(bytes, 8 + length));
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 4)]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4)]
    [InlineData("""{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}""", 8)]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8)]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4)]
    [InlineData("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,-4]}}""", 0)]
    [InlineData("""{"a":{"shape":[1],"data_offsets":[0,4]}}""", 4)]
    [InlineData("""not json""", 0)]
    public void What_does_not_add_up_is_refused(string header, int dataBytes)
    {
        var json = Encoding.UTF8.GetBytes(header);
        var bytes = new byte[8 + json.Length + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)json.Length);
        json.CopyTo(bytes, 8);
        File.WriteAllBytes(PathOfFile, bytes);

        Assert.Throws<ContractException>(() => new SafetensorsFile(PathOfFile).Dispose());
    }

    [Fact]
    public void A_header_longer_than_the_file_is_refused()
    {
        File.WriteAllBytes(PathOfFile, [255, 255, 255, 0, 0, 0, 0, 0, 1]);

        Assert.Throws<ContractException>(() => new SafetensorsFile(PathOfFile).Dispose());
    }
}
