using KdServing.Contracts;
using KdServing.Serving.Control.Commands;

namespace KdServing.Serving.Tests.Control;

/// <summary>A server that trusts keys serves what they signed, and nothing else.</summary>
public sealed class SignatureTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly SampleStudent sample = new("mlp");

    public SignatureTests()
    {
        VersionKeys.Create(folder["private.pem"], folder["public.pem"]);
        VersionKeys.Create(folder["other.pem"], folder["other-public.pem"]);
    }

    public void Dispose()
    {
        sample.Dispose();
        folder.Dispose();
    }

    [Fact]
    public async Task Only_versions_signed_by_a_trusted_key_are_served()
    {
        await using var server = await StartAsync();
        Publish(null);
        Assert.Contains("the version is not signed", await server.RefusesAsync(1), StringComparison.Ordinal);
        Publish("other.pem");
        Assert.Contains("not the signature of this manifest by a trusted key", await server.RefusesAsync(2), StringComparison.Ordinal);
        // A new base: deltas rest on signed versions only, too.
        var fresh = new SampleStudent("mlp", seed: 3);
        using var signer = VersionSigner.FromFile(folder["private.pem"], "key");
        fresh.Publish(Repository(signer));
        await server.ServesAsync(3);
        fresh.Dispose();
    }

    [Fact]
    public async Task An_old_version_is_not_served_again_because_somebody_put_it_there()
    {
        Publish("private.pem");
        Publish("private.pem");
        await using (var server = await StartAsync())
            await server.ServesAsync(2);
        // Whoever can write to the repository takes the newer one away, with the server's copy.
        Directory.Delete(Repository(null).Folder(SampleStudent.Model, 2), recursive: true);
        Directory.Delete(Path.Combine(folder["state"], "versions"), recursive: true);
        await using (var server = await StartAsync())
        {
            Assert.Contains("is older than version 2", await server.RefusesAsync(1), StringComparison.Ordinal);
            Assert.Equal(1, (await server.Control.PinAsync(new() { Version = 1 })).Current);
        }
    }

    [Fact]
    public void Commands_make_keys_sign_and_verify()
    {
        Publish(null);
        Publish(null);
        Assert.Equal(1, Run("verify", "--repository", folder["models"], "--trusted-keys", folder["public.pem"]));
        Assert.Equal(0, Run("sign", "--repository", folder["models"], "--key", folder["private.pem"]));
        Assert.Equal(0, Run("verify", "--repository", folder["models"], "--trusted-keys", folder["public.pem"]));
        Assert.Equal(1, Run("verify", "--repository", folder["models"], "--trusted-keys", folder["other-public.pem"]));
        Assert.Equal(1, Run("sign", "--repository", folder["models"], "--key", folder["public.pem"]));
        Assert.Equal(1, Run("verify", "--repository", folder["models"], "--trusted-keys", folder["private.pem"]));
        Assert.Equal(1, Run("keygen", "--private", folder["private.pem"], "--public", folder["new.pem"]));
        Assert.Equal(2, Run("list"));
        // Two keys while one is being replaced.
        File.AppendAllText(folder["other-public.pem"], File.ReadAllText(folder["public.pem"]));
        Assert.Equal(0, Run("verify", "--repository", folder["models"], "--trusted-keys", folder["other-public.pem"]));
        File.WriteAllText(Path.Combine(Repository(null).Folder(SampleStudent.Model, 2), "extra"), "x");
        Assert.Equal(1, Run("verify", "--repository", folder["models"], "--trusted-keys", folder["public.pem"]));
    }

    private static int Run(params string[] arguments) => ModelsCommand.Create().Parse(arguments).Invoke(new() { Output = TextWriter.Null, Error = TextWriter.Null });

    private ModelRepository Repository(VersionSigner? signer) => new(folder["models"]) { Signer = signer };

    private void Publish(string? key)
    {
        using var signer = key is null ? null : VersionSigner.FromFile(folder[key], "key");
        // The next number, of whatever is there: a base each time.
        using var fresh = new SampleStudent("mlp", seed: 7);
        fresh.Publish(Repository(signer));
    }

    private Task<RunningServer> StartAsync() => RunningServer.StartAsync(null, change: o => o with
    {
        Repository = folder["models"],
        State = folder["state"],
        TrustedKeys = folder["public.pem"],
    });
}
