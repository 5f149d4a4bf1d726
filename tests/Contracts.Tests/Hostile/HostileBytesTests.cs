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
        Encoding.UTF8.GetBytes(SampleManifest.Delta(7, 6, 4, new Dictionary<string, VersionFile> { ["rows.bin"] = new(10, new string('a', 64)) }).ToJson()),
        bytes => VersionManifest.Parse(bytes));

    [Fact]
    public void Schemas() => EachMutant(Encoding.UTF8.GetBytes(SampleRecord.Schema.Json), bytes => FeatureSchema.Parse(Encoding.UTF8.GetString(bytes)));

    [Fact]
    public void Rows()
    {
        EmbeddingTable[] tables = [.. SampleRecord.Schema.Tables.Select(t => new EmbeddingTable(t, 1, 0.1f))];
        using var stream = new MemoryStream();
        RowsFile.Write(stream, tables, [.. tables.Select(t => new[] { 1, t.Rows - 1 })]);
        EachMutant(stream.ToArray(), bytes => RowsFile.Apply(bytes, tables));
        foreach (var table in tables)
            table.Dispose();
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
