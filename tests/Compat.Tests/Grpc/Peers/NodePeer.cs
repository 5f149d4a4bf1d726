namespace KdServing.Compat.Tests.Peers;

/// <summary>gRPC's JavaScript implementation, @grpc/grpc-js.</summary>
internal static class NodePeer
{
    public static async Task<ForeignPeer> PrepareAsync()
    {
        var sources = Path.Combine(PeerSources.Directory, "node");
        string[] packageFiles = [Path.Combine(sources, "package.json"), Path.Combine(sources, "package-lock.json")];
        var directory = await PeerSources.BuildAsync("node", packageFiles, build => InstallAsync(packageFiles, build));
        return new ForeignPeer("node", "nodejs", directory, Path.Combine(sources, "interop.js"), PeerSources.Proto);
    }

    private static Task InstallAsync(string[] packageFiles, string directory)
    {
        foreach (var file in packageFiles)
            File.Copy(file, Path.Combine(directory, Path.GetFileName(file)), overwrite: true);

        return Command.RunAsync("npm", "npm", directory, "ci", "--ignore-scripts", "--no-audit", "--no-fund");
    }
}
