using System.Text;
using Google.Protobuf;
using KdServing.Contracts.Tests.Streams;
using KdServing.Contracts.Tests.Versions;

namespace KdServing.Contracts.Tests.Hostile;

/// <summary>Spoilt bytes of everything that is read are refused in words, or are harmless; nothing else is thrown.</summary>
public sealed class HostileBytesTests
{
    private const int Mutants = 3000;

    [Fact]
    public void Stream_entries() => EachMutant(SampleRecord.Make().ToByteArray(), bytes => LogitEntry.Parse([(byte)'1'], bytes, SampleRecord.Schema));

    [Fact]
    public void Manifests() => EachMutant(
        SampleManifest.Delta(7, 6, 4, new Dictionary<string, VersionFile> { ["rows.bin"] = new(10, new string('a', 64)) }).ToBytes(),
        bytes => VersionManifest.Parse(bytes));

    // What a publisher gone bad would write: spoilt, and sealed.
    [Fact]
    public void Sealed_manifests() => EachMutant(
        Encoding.UTF8.GetBytes(SampleManifest.Delta(7, 6, 4, new Dictionary<string, VersionFile> { ["rows.bin"] = new(10, new string('a', 64)) }).ToJson()),
        bytes =>
        {
            if (Encoding.UTF8.GetString(bytes).TrimEnd().EndsWith('}'))
                VersionManifest.Parse(ManifestSeal.Add(Encoding.UTF8.GetString(bytes)));
            else
                throw new ContractException("manifest", "is no object: there is nothing to seal");
        });

    [Fact]
    public void Schemas() => EachMutant(Encoding.UTF8.GetBytes(SampleRecord.Schema.Json), bytes => FeatureSchema.Parse(Encoding.UTF8.GetString(bytes)));

    [Fact]
    public void Rows()
    {
        EmbeddingTable[] tables = [.. SampleRecord.Schema.Tables.Select(t => new EmbeddingTable(t, 1, 0.1f))];
        using var stream = new MemoryStream();
        RowsFile.Write(stream, tables, [.. tables.Select(t => new[] { 1, t.Rows - 1 })]);
        EachMutant(stream.ToArray(), bytes => RowsFile.Apply(new MemoryStream(bytes), tables, requireFinite: true));
        foreach (var table in tables)
            table.Dispose();
    }

    // An unknown field of 64 bits cut short at the end of a nested message: Google.Protobuf's parser steps out of its buffer.
    [Fact]
    public void A_64_bit_field_cut_short_is_no_message()
    {
        byte[] labels = [0xf9, 0x3f, 1, 2, 3];
        byte[] record = [(TeacherRecord.LabelsFieldNumber << 3) | 2, (byte)labels.Length, .. labels];
        Assert.Equal("r", Assert.Throws<ContractException>(() => LogitEntry.Parse([(byte)'1'], record, SampleRecord.Schema)).Field);
    }

    // The exception's message names the seed's number of the mutant.
    private static void EachMutant(byte[] good, Action<byte[]> read)
    {
        read(good);
        var refused = 0;
        for (var seed = 0; seed < Mutants; seed++)
        {
            var mutant = HostileBytes.Mutate(good, new Random(seed));
            try
            {
                read(mutant);
            }
            catch (ContractException)
            {
                refused++;
            }
            catch (Exception e)
            {
                Assert.Fail($"mutant of seed {seed}: {e}");
            }
        }
        Assert.True(refused > Mutants / 2, $"only {refused} of {Mutants} were refused: are they read at all?");
    }
}
