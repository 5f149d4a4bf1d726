using KdServing.Compat.Tests.Peers;

namespace KdServing.Compat.Tests;

/// <summary>The official interoperability cases, between this implementation, gRPC C++ and grpc-js, with and without TLS.</summary>
public sealed class InteropTests(InteropPeers peers) : IClassFixture<InteropPeers>
{
    public static TheoryData<string, string, bool> OwnClient() => Cross(["own", "cpp", "node"]);

    public static TheoryData<string, string, bool> ForeignClients() => Cross(["cpp", "node"]);

    [Theory]
    [MemberData(nameof(OwnClient))]
    public async Task Our_client_calls(string server, string name, bool isTls)
    {
        using var channel = await peers.ConnectAsync(server, isTls);
        await new InteropCases(channel).RunAsync(name);
    }

    [Theory]
    [MemberData(nameof(ForeignClients))]
    public async Task Our_server_answers(string client, string name, bool isTls)
    {
        var outcomes = await peers.OutcomesAsync(client, isTls);
        Assert.Equal("ok", outcomes.GetValueOrDefault(name, "was not run"));
    }

    private static TheoryData<string, string, bool> Cross(IEnumerable<string> names)
    {
        var data = new TheoryData<string, string, bool>();
        foreach (var peer in names)
            foreach (var isTls in new[] { false, true })
                foreach (var name in peer == "node" ? InteropCases.Names : InteropCases.Names.Concat(InteropCases.CompressionNames))
                    data.Add(peer, name, isTls);

        return data;
    }
}
