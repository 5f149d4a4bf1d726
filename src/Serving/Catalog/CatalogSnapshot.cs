using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Serving.Catalog;

/// <summary>The catalog on disk: every item's features and where in the stream they stand. Vectors are not kept; they are a version's.</summary>
/// <remarks>
/// <c>"KDITEMS1"</c>, int32 header bytes (little-endian), the header as JSON, <see cref="ItemBatch"/> messages each after its length as a varint,
/// then the SHA-256 of all before. Written beside its name, flushed, renamed; the one before is kept, so that a torn or damaged
/// newest one costs a longer way through the stream, not the catalog. One thread at a time.
/// </remarks>
internal sealed class CatalogSnapshot(string folder, string model)
{
    private const int HashBytes = 32;
    private const int MaxHeaderBytes = 1 << 20;

    private static ReadOnlySpan<byte> Magic => "KDITEMS1"u8;

    /// <summary>The newest one and the one before.</summary>
    public IReadOnlyList<string> Files { get; } = [Path.Combine(folder, $"{model}.items"), Path.Combine(folder, $"{model}.items.previous")];

    /// <summary>Writes a snapshot and makes it the newest.</summary>
    /// <exception cref="IOException">The disk refused; the newest one before stays.</exception>
    public void Write(SnapshotHeader header, IEnumerable<ItemBatch> batches)
    {
        Directory.CreateDirectory(folder);
        var temporary = $"{Files[0]}.tmp";
        try
        {
            DurableFile.Write(temporary, stream => Write(stream, header, batches));
            if (File.Exists(Files[0]))
                File.Move(Files[0], Files[1], overwrite: true);
            File.Move(temporary, Files[0]);
            DurableFile.FlushFolder(folder);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    /// <summary>Checks a snapshot whole, then hands out what is in it.</summary>
    /// <returns>Null when there is no such file.</returns>
    /// <exception cref="ContractException">It is cut short, damaged, or of another format.</exception>
    public static (SnapshotHeader Header, IEnumerable<ItemBatch> Batches)? Read(string file)
    {
        if (!File.Exists(file))
            return null;
        using var stream = File.OpenRead(file);
        RequireIntact(stream);
        var header = ReadHeader(stream);
        return (header, ReadBatches(file, stream.Position));
    }

    private static void Write(Stream destination, SnapshotHeader header, IEnumerable<ItemBatch> batches)
    {
        using var sha = SHA256.Create();
        using (var stream = new CryptoStream(destination, sha, CryptoStreamMode.Write, leaveOpen: true))
        {
            stream.Write(Magic);
            var json = JsonSerializer.SerializeToUtf8Bytes(header, ContractJson.Options);
            Span<byte> length = stackalloc byte[sizeof(int)];
            BinaryPrimitives.WriteInt32LittleEndian(length, json.Length);
            stream.Write(length);
            stream.Write(json);
            foreach (var batch in batches)
                batch.WriteDelimitedTo(stream);
        }
        destination.Write(sha.Hash!);
    }

    private static void RequireIntact(FileStream stream)
    {
        var content = stream.Length - HashBytes;
        if (content < Magic.Length + sizeof(int))
            throw new ContractException("snapshot", "is cut short");
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 16];
        for (var left = content; left > 0;)
        {
            var read = stream.Read(buffer, 0, (int)Math.Min(buffer.Length, left));
            if (read == 0)
                throw new ContractException("snapshot", "is cut short");
            sha.AppendData(buffer, 0, read);
            left -= read;
        }
        var written = new byte[HashBytes];
        stream.ReadExactly(written);
        if (!sha.GetHashAndReset().AsSpan().SequenceEqual(written))
            throw new ContractException("snapshot", "does not have the SHA-256 it was written with: torn or damaged");
        stream.Position = 0;
    }

    private static SnapshotHeader ReadHeader(FileStream stream)
    {
        Span<byte> start = stackalloc byte[Magic.Length + sizeof(int)];
        stream.ReadExactly(start);
        if (!start.StartsWith(Magic))
            throw new ContractException("snapshot", "does not begin with its magic number; written by another release?");
        var length = BinaryPrimitives.ReadInt32LittleEndian(start[Magic.Length..]);
        if (length is < 0 or > MaxHeaderBytes || length > stream.Length - stream.Position)
            throw new ContractException("snapshot", "has a header of impossible length");
        var json = new byte[length];
        stream.ReadExactly(json);
        try
        {
            return JsonSerializer.Deserialize<SnapshotHeader>(json, ContractJson.Options) ?? throw new ContractException("snapshot", "has an empty header");
        }
        catch (JsonException e)
        {
            throw new ContractException("snapshot", $"has a header this build can not read: {e.Message}");
        }
    }

    private static IEnumerable<ItemBatch> ReadBatches(string file, long start)
    {
        using var stream = File.OpenRead(file);
        stream.Position = start;
        while (stream.Position < stream.Length - HashBytes)
            yield return ItemBatch.Parser.ParseDelimitedFrom(stream);
    }
}

/// <summary>What a snapshot says of itself.</summary>
/// <param name="Position">Id of the last stream entry in it.</param>
/// <param name="ItemsFile">Length and time of the bulk file read last; null: none was.</param>
internal sealed record SnapshotHeader(string Model, string Position, int Items, long CreatedAtMs, string? ItemsFile);
