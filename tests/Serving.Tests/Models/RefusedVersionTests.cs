using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Publishing.Onnx;
using Microsoft.Extensions.Logging;

namespace KdServing.Serving.Tests.Models;

/// <summary>A version with anything wrong in it is refused with the reason, and the old one serves on.</summary>
public sealed class RefusedVersionTests : IAsyncLifetime
{
    private readonly SampleStudent sample = new("mlp");
    private RunningServer server = null!;

    public async Task InitializeAsync() => server = await RunningServer.StartAsync(sample);

    public async Task DisposeAsync()
    {
        await server.DisposeAsync();
        sample.Dispose();
    }

    [Theory]
    [InlineData(StudentSignature.HeadFile)]
    [InlineData(StudentSignature.ItemEncoderFile)]
    [InlineData(StudentSignature.UserEncoderFile)]
    [InlineData(StudentSignature.RowsFile)]
    [InlineData(StudentSignature.SchemaFile)]
    [InlineData(StudentSignature.GoldenFile)]
    public async Task Files_that_are_not_what_the_manifest_says(string file)
    {
        await RequireRefusalAsync($"{file}: of version 2 does not have the SHA-256", folder =>
        {
            var bytes = File.ReadAllBytes(Path.Combine(folder, file));
            bytes[bytes.Length / 2] ^= 0x10;
            File.WriteAllBytes(Path.Combine(folder, file), bytes);
        });
        await RequireRefusalAsync($"{file}: of version 3 has", folder =>
        {
            using var stream = File.OpenWrite(Path.Combine(folder, file));
            stream.SetLength(stream.Length - 1);
        });
        await RequireRefusalAsync($"{file}: of version 4 of 'sample' is missing", folder => File.Delete(Path.Combine(folder, file)));
        await RequireNextGoodVersionAsync(5);
    }

    [Fact]
    public async Task Manifests_that_do_not_hold_together()
    {
        await RequireRefusalAsync("manifest: is not valid", folder => File.WriteAllText(Path.Combine(folder, "manifest.json"), "{"));
        await RequireRefusalAsync("manifest.json: of version 3 of 'sample' is missing", folder => File.Delete(Path.Combine(folder, "manifest.json")));
        await RequireRefusalAsync("manifest: in the folder of sample/4 belongs to sample/1",
            folder => File.Copy(Path.Combine(server.Repository.Folder(SampleStudent.Model, 1), "manifest.json"), Path.Combine(folder, "manifest.json"), overwrite: true));
        await RequireRefusalAsync("manifest.signature: is for widths", manifest: m => m with { Signature = m.Signature with { ItemWidth = 99 } });
        await RequireRefusalAsync("manifest.signature.targets: differ", manifest: m => m with { Signature = m.Signature with { Targets = ["buy", "click"] } });
        await RequireRefusalAsync("user_encoder.onnx: has outputs", manifest: m => m with { Signature = m.Signature with { UserPartWidth = 31 } });
        await RequireRefusalAsync("schema.json: has fingerprint", manifest: m => m with { SchemaFingerprint = "0123456789abcdef" });
        await RequireRefusalAsync("holds 'head.onnx', which its manifest does not name", manifest: m => m with { Files = m.Files.Where(f => f.Key != StudentSignature.HeadFile).ToDictionary() });
        await RequireRefusalAsync("manifest.json: of version 7777 of 'sample' is missing",
            manifest: m => m with { Kind = VersionKind.Delta, BaseVersion = 1, PreviousVersion = 7777 }, version: 7778);
        await RequireNextGoodVersionAsync(7779);
    }

    // Nothing of a version lies anywhere but in plain files of its own folder.
    [Fact]
    public async Task Folders_with_something_else_in_them()
    {
        await RequireRefusalAsync("which its manifest does not name", f => File.WriteAllText(Path.Combine(f, "extra.so"), "x"), after: true);
        await RequireRefusalAsync("which is not a plain file", f => Directory.CreateDirectory(Path.Combine(f, "more")), after: true);
        await RequireRefusalAsync("which is not a plain file", f => Link(f, StudentSignature.HeadFile), after: true);
        await RequireRefusalAsync("is a symbolic link", f => Link(f, "manifest.json"), after: true);
        await RequireRefusalAsync("head.onnx: of version 6 is not a plain file", f => MakePipe(f, StudentSignature.HeadFile), after: true);
        await RequireRefusalAsync("manifest_sha256", f => Flip(f, "manifest.json"), after: true);
        await RequireNextGoodVersionAsync(8);
    }

    [Fact]
    public async Task Graphs_that_compute_something_else()
    {
        await RequireRefusalAsync("golden.pb case 0: logit 0 is", Head(g => Scale(g, 1.01f)));
        await RequireRefusalAsync("version 3 computed a score that is not finite", Head(g => Scale(g, float.NaN)));
        await RequireRefusalAsync("version 4 computed a score that is not finite", Head(g => Scale(g, float.PositiveInfinity)));
        await RequireRefusalAsync("golden.pb: holds no case", f => Write(f, StudentSignature.GoldenFile, []));
        await RequireRefusalAsync("golden.pb: is not a golden batch", f => Write(f, StudentSignature.GoldenFile, [0xFF, 0xFF]));
        await RequireRefusalAsync("rows.bin: table 'seen_before' holds NaN in row", f => SetLastValue(f, float.NaN));
        await RequireRefusalAsync("rows.bin: is cut short", f => Write(f, StudentSignature.RowsFile, File.ReadAllBytes(Path.Combine(f, StudentSignature.RowsFile))[..^64]));
        await RequireNextGoodVersionAsync(9);
    }

    // ONNX Runtime never sees these: the reason says so.
    [Fact]
    public async Task Graphs_that_no_exporter_of_ours_writes()
    {
        const string before = "refused before it is opened";
        await RequireRefusalAsync($"head.onnx: keeps tensor data outside the file; {before}", Head(g => MakeExternal(g, "../../secret")));
        await RequireRefusalAsync($"head.onnx: keeps tensor data outside the file; {before}", Head(g => MakeExternal(g, "/etc/passwd")));
        await RequireRefusalAsync($"head.onnx: keeps tensor data outside the file; {before}", Head(g => MakeExternal(g, "*/_ORT_MEM_ADDR_/*")));
        await RequireRefusalAsync("head.onnx: uses operator 'Tile'", Head(g => g.Node[0].OpType = "Tile"));
        await RequireRefusalAsync("head.onnx: uses operator domain 'com.microsoft'", Head(g => g.Node[0] = NodeProto.Parser.ParseFrom([.. g.Node[0].ToByteArray(), 0x3A, 13, .. "com.microsoft"u8])));
        await RequireRefusalAsync("head.onnx: has attribute field 6", Head(g => g.Node[0].Attribute.Add(AttributeProto.Parser.ParseFrom([0x32, 0x00]))));
        await RequireRefusalAsync("head.onnx: has inputs", Head(g => g.Input.Add(g.Input[0].Clone())));
        await RequireRefusalAsync("head.onnx: has outputs", Head(g => g.Output.RemoveAt(1)));
        await RequireRefusalAsync("head.onnx: has a tensor whose", Head(g => g.Initializer[0].Dims[0] = 1L << 40));
        await RequireRefusalAsync("head.onnx: is not an ONNX file", Head(g => g.Initializer[0].Dims.Add([1L << 40, 1L << 40])));
        await RequireRefusalAsync("head.onnx: has a tensor whose", Head(g => g.Initializer[0].RawData = ByteString.Empty));
        await RequireRefusalAsync("head.onnx: holds 0 graphs", f => Write(f, StudentSignature.HeadFile, []));
        await RequireRefusalAsync("head.onnx: is not an ONNX file", f => Write(f, StudentSignature.HeadFile, [0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]));
        await RequireRefusalAsync("head.onnx: has model field 25", f => Write(f, StudentSignature.HeadFile, [0xCA, 0x01, 0x00]));
        await RequireRefusalAsync("head.onnx: has more than 256 nodes", Head(g => g.Node.AddRange(Enumerable.Repeat(g.Node[0], 300))));
        await RequireRefusalAsync("head.onnx: has more than 512 constants", Head(g => g.Initializer.AddRange(Enumerable.Repeat(g.Initializer[0], 600))));
        // This one only ONNX Runtime can find: the graph hangs together for the scan, not for a run.
        await RequireRefusalAsync("[ErrorCode:", Head(g => g.Node[0].Input[0] = "nowhere"));
        await RequireNextGoodVersionAsync(19);
    }

    [Fact]
    public async Task Every_bit_flip_is_found()
    {
        var random = new Random(1);
        var files = server.Repository.Manifest(SampleStudent.Model, 1).Files.Keys.Where(f => f != StudentSignature.RankerFile).ToArray();
        using var other = new SampleStudent("mlp");
        using var versions = new LoadedVersions(other, count: 1);
        var folder = versions.Repository.Folder(SampleStudent.Model, 1);
        for (var i = 0; i < 200; i++)
        {
            var path = Path.Combine(folder, files[random.Next(files.Length)]);
            var bytes = File.ReadAllBytes(path);
            var flipped = (byte[])bytes.Clone();
            flipped[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(path, flipped);
            Assert.Throws<Serving.Models.VersionRefusedException>(() => versions.LoadAgain(1));
            File.WriteAllBytes(path, bytes);
        }
        versions.LoadAgain(1);
    }

    // Publishes a base that is version 1 with something changed before its manifest is made (hashes fit) or after (they do not).
    private async Task RequireRefusalAsync(string reason, Action<string>? tamper = null, Func<VersionManifest, VersionManifest>? manifest = null,
        long? version = null, bool after = false)
    {
        var first = server.Repository.Manifest(SampleStudent.Model, 1);
        var next = version ?? server.Repository.Versions(SampleStudent.Model)[^1] + 1;
        // Staged elsewhere, so that the server sees the folder only when it is as it should be.
        using var staging = new TemporaryFolder();
        var repository = new ModelRepository(staging.Path);
        var tamperAfter = after || reason.Contains("of version", StringComparison.Ordinal) || reason.StartsWith("manifest: ", StringComparison.Ordinal);
        repository.Publish(SampleStudent.Model, next,
            folder =>
            {
                foreach (var file in first.Files.Keys)
                    File.Copy(Path.Combine(server.Repository.Folder(SampleStudent.Model, 1), file), Path.Combine(folder, file));
                if (!tamperAfter)
                    tamper?.Invoke(folder);
            },
            files => (manifest ?? (m => m))(first with { Version = next, BaseVersion = next, Files = files }));
        if (tamperAfter)
            tamper?.Invoke(repository.Folder(SampleStudent.Model, next));
        Directory.Move(repository.Folder(SampleStudent.Model, next), server.Repository.Folder(SampleStudent.Model, next));

        Assert.Contains(reason, await server.RefusesAsync(next), StringComparison.Ordinal);
        Assert.True(server.Log.Holds(LogLevel.Warning, $"version {next} is refused: "));
        await Eventually.HoldsAsync(() => server.Ledger.Entries()[^1] is { Error: not null } e && e.Version == next, "the ledger knows of it");
        Assert.Equal(1, (await server.Client.RankAsync(sample.Request(candidates: 20, seed: 1))).Version);
    }

    private async Task RequireNextGoodVersionAsync(long version)
    {
        sample.Learn(seed: 2);
        Assert.Equal(version, sample.Publish(server.Repository).Version);
        await server.ServesAsync(version);
        Assert.Equal(version, (await server.Client.RankAsync(sample.Request(candidates: 20, seed: 1))).Version);
    }

    // The same bytes, but by way of a link.
    private static void Link(string folder, string file)
    {
        var elsewhere = Path.Combine(Path.GetDirectoryName(Path.GetDirectoryName(folder))!, $"elsewhere-{file}");
        File.Move(Path.Combine(folder, file), elsewhere, overwrite: true);
        File.CreateSymbolicLink(Path.Combine(folder, file), elsewhere);
    }

    // Opening it for reading waits for a writer, if one does not take care.
    private static void MakePipe(string folder, string file)
    {
        File.Delete(Path.Combine(folder, file));
        using var process = System.Diagnostics.Process.Start("mkfifo", Path.Combine(folder, file));
        process.WaitForExit();
    }

    private static void Flip(string folder, string file)
    {
        var bytes = File.ReadAllBytes(Path.Combine(folder, file));
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(Path.Combine(folder, file), bytes);
    }

    private static Action<string> Head(Action<GraphProto> change) => folder =>
    {
        var model = ModelProto.Parser.ParseFrom(File.ReadAllBytes(Path.Combine(folder, StudentSignature.HeadFile)));
        change(model.Graph);
        Write(folder, StudentSignature.HeadFile, model.ToByteArray());
    };

    private static void Scale(GraphProto graph, float factor)
    {
        // The last constant is the output layer's bias; those before are weights.
        foreach (var tensor in graph.Initializer)
        {
            var values = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(tensor.RawData.Span).ToArray();
            tensor.RawData = ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>([.. values.Select(v => v * factor)]));
        }
    }

    private static void MakeExternal(GraphProto graph, string location)
    {
        // data_location and external_data of TensorProto, written by hand: our own exporter has no such fields.
        var key = new StringEntry("location", location).Bytes();
        byte[] extra = [0x70, 0x01, 0x6A, (byte)key.Length, .. key];
        graph.Initializer[0] = TensorProto.Parser.ParseFrom([.. graph.Initializer[0].ToByteArray(), .. extra]);
    }

    // One of the last table, which no golden request need touch.
    private static void SetLastValue(string folder, float value)
    {
        var path = Path.Combine(folder, StudentSignature.RowsFile);
        var bytes = File.ReadAllBytes(path);
        BitConverter.TryWriteBytes(bytes.AsSpan(^sizeof(float)..), value);
        File.WriteAllBytes(path, bytes);
    }

    private static void Write(string folder, string file, byte[] bytes) => File.WriteAllBytes(Path.Combine(folder, file), bytes);

    private sealed record StringEntry(string Key, string Value)
    {
        public byte[] Bytes() =>
        [
            0x0A, (byte)Key.Length, .. System.Text.Encoding.UTF8.GetBytes(Key),
            0x12, (byte)Value.Length, .. System.Text.Encoding.UTF8.GetBytes(Value),
        ];
    }
}
