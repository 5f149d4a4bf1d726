using System.Text.Json.Nodes;
using KdServing.Contracts.Tests.Versions;

namespace KdServing.Contracts.Tests.Hostile;

/// <summary>Every name that enters is refused before it becomes part of a path or a key.</summary>
public sealed class HostileNameTests
{
    [Fact]
    public void There_are_enough_of_them() => Assert.True(HostileNames.All.Count >= 500);

    [Fact]
    public void No_hostile_name_is_an_identifier()
    {
        foreach (var name in HostileNames.All)
            Assert.Equal("field", Assert.Throws<ContractException>(() => Identifier.Require(name, "field")).Field);
    }

    [Fact]
    public void None_leads_out_of_the_repository()
    {
        using var folder = new TemporaryFolder();
        var repository = new ModelRepository(folder["models"]);
        foreach (var name in HostileNames.All)
        {
            Assert.Throws<ContractException>(() => repository.Folder(name, 1));
            Assert.Throws<ContractException>(() => repository.Versions(name));
            Assert.Throws<ContractException>(() => repository.Publish(name, 1, _ => { }, _ => SampleManifest.Base(1)));
        }
        Assert.False(Directory.Exists(folder["models"]));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void None_becomes_a_key_of_Redis()
    {
        foreach (var name in HostileNames.All)
            Assert.Equal("model", Assert.Throws<ContractException>(() => new StreamKeys(name)).Field);
    }

    [Fact]
    public void None_is_taken_from_a_manifest_as_model_or_with_a_separator_as_file()
    {
        var sample = SampleManifest.Base(3).ToJson();
        foreach (var name in HostileNames.All)
        {
            var json = JsonNode.Parse(sample)!.AsObject();
            json["model"] = name;
            Assert.Throws<ContractException>(() => VersionManifest.Parse(ManifestSeal.Add(json.ToJsonString())));
            if (!name.Contains('/', StringComparison.Ordinal) && !name.Contains('\\', StringComparison.Ordinal))
                continue;
            json = JsonNode.Parse(sample)!.AsObject();
            json["files"] = new JsonObject { [name] = new JsonObject { ["bytes"] = 1, ["sha256"] = new string('a', 64) } };
            Assert.Throws<ContractException>(() => VersionManifest.Parse(ManifestSeal.Add(json.ToJsonString())));
        }
    }
}
