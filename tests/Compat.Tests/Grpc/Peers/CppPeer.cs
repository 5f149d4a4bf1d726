namespace KdServing.Compat.Tests.Peers;

/// <summary>gRPC's C++ implementation, from Debian.</summary>
internal static class CppPeer
{
    private const string Header = "/usr/include/grpcpp/grpcpp.h";

    public static async Task<ForeignPeer> PrepareAsync()
    {
        var source = Path.Combine(PeerSources.Directory, "cpp", "interop.cc");
        var directory = await PeerSources.BuildAsync("cpp", [source, PeerSources.Proto], build => CompileAsync(source, build));
        return new ForeignPeer(Path.Combine(directory, "interop"), "libgrpc++-dev", directory);
    }

    private static async Task CompileAsync(string source, string directory)
    {
        if (!File.Exists(Header))
            throw new InvalidOperationException($"'{Header}' was not found: install the Debian package libgrpc++-dev.");

        var plugin = "/usr/bin/grpc_cpp_plugin";
        if (!File.Exists(plugin))
            throw new InvalidOperationException($"'{plugin}' was not found: install the Debian package protobuf-compiler-grpc.");

        await Command.RunAsync(
            "protoc", "protobuf-compiler", directory,
            "-I", PeerSources.Directory, "--cpp_out=.", "--grpc_out=.", $"--plugin=protoc-gen-grpc={plugin}", PeerSources.Proto);

        // The libraries behind libgrpc++ differ from release to release; the linker finds them by themselves.
        await Command.RunAsync(
            "g++", "g++", directory,
            "-std=c++17", "-O0", "-I.", source, "test.pb.cc", "test.grpc.pb.cc", "-o", "interop",
            "-Wl,--copy-dt-needed-entries", "-lgrpc++", "-lgrpc", "-lgpr", "-lprotobuf", "-lpthread");
    }
}
