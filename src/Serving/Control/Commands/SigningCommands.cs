using System.CommandLine;
using KdServing.Contracts;

namespace KdServing.Serving.Control.Commands;

/// <summary><c>kd models keygen|sign|verify</c>.</summary>
internal static class SigningCommands
{
    public static Command KeyGeneration()
    {
        var privateKey = new Option<string>("--private") { Description = "File of the private key, for the Distiller and 'kd models sign'.", Required = true };
        var publicKey = new Option<string>("--public") { Description = "File of the public key, for servers ('kd serve --trusted-keys').", Required = true };
        return ModelsCommand.Verb("keygen", "Makes a pair of keys (ECDSA on P-256, PEM).", [privateKey, publicKey], r =>
        {
            VersionKeys.Create(r.GetRequiredValue(privateKey), r.GetRequiredValue(publicKey));
            r.InvocationConfiguration.Output.WriteLine($"private key in {r.GetValue(privateKey)} (keep it with the Distiller), public key in {r.GetValue(publicKey)}");
            return true;
        });
    }

    public static Command Sign(Option<string?> repository, Option<string?> model)
    {
        var key = new Option<string>("--key") { Description = "File of the private key.", Required = true };
        var version = VersionOption();
        return ModelsCommand.Verb("sign", "Signs versions of a repository that are not signed; what the Distiller does by itself with refresh.signing_key.", [key, version], r =>
        {
            using var signer = VersionSigner.FromFile(r.GetRequiredValue(key), "--key");
            var (folder, name) = Require(r, repository, model);
            foreach (var number in Chosen(folder, name, r.GetValue(version)))
                r.InvocationConfiguration.Output.WriteLine($"{name} version {number} {(folder.Sign(name, number, signer) ? "signed" : "was signed before")}");
            return true;
        });
    }

    public static Command Verify(Option<string?> repository, Option<string?> model)
    {
        var key = new Option<string>("--trusted-keys") { Description = "File of public keys.", Required = true };
        var version = VersionOption();
        return ModelsCommand.Verb("verify", "Verifies signatures, seals, hashes, and that nothing else lies in the folders. Exit code 1 when something is wrong.", [key, version], r =>
        {
            var (folder, name) = Require(r, repository, model);
            var trusted = new ModelRepository(folder.Root) { Verifier = VersionVerifier.FromFile(r.GetRequiredValue(key), "--trusted-keys") };
            return Chosen(folder, name, r.GetValue(version)).Count(number => !IsGood(trusted, name, number, r.InvocationConfiguration.Output)) == 0;
        });
    }

    private static bool IsGood(ModelRepository repository, string model, long version, TextWriter output)
    {
        try
        {
            var manifest = repository.Manifest(model, version);
            repository.RequireNothingElse(manifest);
            foreach (var file in manifest.Files.Keys)
                repository.Verify(manifest, file);
            output.WriteLine($"{model} version {version} good");
            return true;
        }
        catch (ContractException e)
        {
            output.WriteLine($"{model} version {version} BAD: {e.Message}");
            return false;
        }
    }

    private static Option<long?> VersionOption() => new("--version") { Description = "One version; by default all." };

    private static (ModelRepository Repository, string Model) Require(ParseResult result, Option<string?> repository, Option<string?> model)
    {
        var folder = RepositoryVersions.Open(result.GetValue(repository) ?? throw new UsageException("--repository FOLDER is needed"));
        var models = RepositoryVersions.Models(folder);
        return (folder, result.GetValue(model) ?? (models.Count == 1 ? models[0] : throw new ContractException("--model", $"is needed: the repository holds {models.Count} models")));
    }

    private static IReadOnlyList<long> Chosen(ModelRepository repository, string model, long? version)
    {
        var present = repository.Versions(model);
        if (version is not { } one)
            return present;
        return present.Contains(one) ? [one] : throw new ContractException("--version", $"there is no version {one} of {model}");
    }
}
