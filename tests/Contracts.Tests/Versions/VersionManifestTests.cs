using System.Text;
using System.Text.Json.Nodes;

namespace KdServing.Contracts.Tests.Versions;

public sealed class VersionManifestTests
{
    [Fact]
    public void A_manifest_survives_its_json()
    {
        var manifest = SampleManifest.Delta(7, 6, 4, new Dictionary<string, VersionFile> { ["rows.bin"] = new(10, new string('a', 64)) });

        var parsed = VersionManifest.Parse(manifest.ToBytes());

        Assert.Equal(manifest.ToJson(), parsed.ToJson());
        Assert.Equal(7, parsed.Version);
        Assert.Equal(["click"], parsed.Signature.Targets);
    }

    [Fact]
    public void It_covers_what_its_position_has_passed()
    {
        var manifest = SampleManifest.Base(1);

        Assert.True(manifest.Covers("kd:news:logits", StreamId.Parse("1760000000000-5")));
        Assert.True(manifest.Covers("kd:news:logits", StreamId.Parse("1759999999999-9")));
        Assert.False(manifest.Covers("kd:news:logits", StreamId.Parse("1760000000000-6")));
        Assert.False(manifest.Covers("kd:other:logits", StreamId.Zero));
    }

    [Theory]
    [InlineData("format", "2", "manifest.format")]
    [InlineData("model", "\"../news\"", "manifest.model")]
    [InlineData("version", "0", "manifest.version")]
    [InlineData("version", "-3", "manifest.version")]
    [InlineData("kind", "\"delta\"", "manifest.base_version")]
    [InlineData("base_version", "2", "manifest.base_version")]
    [InlineData("previous_version", "2", "manifest.base_version")]
    [InlineData("kind", "\"half\"", "manifest")]
    [InlineData("created_at_ms", "\"yesterday\"", "manifest")]
    [InlineData("signature", null, "manifest")]
    [InlineData("extra", "1", "manifest")]
    [InlineData("files", """{ "../evil": { "bytes": 1, "sha256": "x" } }""", "manifest.files")]
    [InlineData("files", """{ ".hidden": { "bytes": 1, "sha256": "x" } }""", "manifest.files")]
    [InlineData("files", """{ "rows.bin": null }""", "manifest.files.rows.bin")]
    [InlineData("files", """{ "rows.bin": { "bytes": -1, "sha256": "" } }""", "manifest.files.rows.bin")]
    [InlineData("files", """{ "rows.bin": { "bytes": 1, "sha256": "abc" } }""", "manifest.files.rows.bin")]
    public void A_manifest_that_breaks_a_rule_is_refused(string key, string? value, string field)
    {
        var json = JsonNode.Parse(SampleManifest.Base(3).ToJson())!.AsObject();
        json.Remove(key);
        if (value is not null)
            json[key] = JsonNode.Parse(value);

        Assert.Equal(field, Assert.Throws<ContractException>(() => VersionManifest.Parse(ManifestSeal.Add(json.ToJsonString()))).Field);
    }

    [Fact]
    public void No_byte_of_a_manifest_can_change()
    {
        var sealedBytes = SampleManifest.Base(3).ToBytes();
        for (var i = 0; i < sealedBytes.Length; i++)
        {
            var changed = (byte[])sealedBytes.Clone();
            changed[i] ^= 1;
            Assert.Throws<ContractException>(() => VersionManifest.Parse(changed));
        }
        Assert.Throws<ContractException>(() => VersionManifest.Parse(sealedBytes.AsSpan(..^1)));
        Assert.Throws<ContractException>(() => VersionManifest.Parse([.. sealedBytes, (byte)'\n']));
        Assert.Throws<ContractException>(() => VersionManifest.Parse(Encoding.UTF8.GetBytes(SampleManifest.Base(3).ToJson())));
    }

    [Fact]
    public void Nulls_are_refused_not_followed()
    {
        foreach (var key in (string[])["model", "signature", "position", "teacher_versions", "metrics", "files", "schema_fingerprint"])
        {
            var json = JsonNode.Parse(SampleManifest.Base(3).ToJson())!.AsObject();
            json[key] = null;
            Assert.Throws<ContractException>(() => VersionManifest.Parse(ManifestSeal.Add(json.ToJsonString())));
        }
    }

    [Fact]
    public void A_signature_belongs_to_its_schema()
    {
        var schema = FeatureSchema.Parse("""
            { "name": "s", "targets": ["click"], "features": [
              { "name": "u", "side": "user", "kind": "hash", "buckets": 10, "dim": 8 },
              { "name": "i", "side": "item", "kind": "hash", "buckets": 10, "dim": 4 } ] }
            """);
        var signature = SampleManifest.Base(1).Signature;
        signature.Require(schema);

        Assert.Equal("manifest.signature", Fault(signature with { ItemWidth = 5 }));
        Assert.Equal("manifest.signature", Fault(signature with { LiveWidth = 1 }));
        Assert.Equal("manifest.signature", Fault(signature with { ItemVectorWidth = 0 }));
        Assert.Equal("manifest.signature.targets", Fault(signature with { Targets = ["buy"] }));

        string Fault(StudentSignature broken) => Assert.Throws<ContractException>(() => broken.Require(schema)).Field;
    }
}
