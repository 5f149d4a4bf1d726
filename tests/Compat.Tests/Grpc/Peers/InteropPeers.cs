using System.Collections.Concurrent;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Compat.Tests.Peers;

/// <summary>Every server and every foreign client of the interoperability tests; each is started once, when a test needs it.</summary>
public sealed class InteropPeers : IAsyncLifetime
{
    private readonly TestCertificate _certificate = new();
    private readonly ConcurrentDictionary<string, Lazy<Task<ForeignPeer>>> _peers = new();
    private readonly ConcurrentDictionary<string, Lazy<Task<ForeignServer>>> _servers = new();
    private readonly ConcurrentDictionary<(string Peer, bool IsTls), Lazy<Task<IReadOnlyDictionary<string, string>>>> _outcomes = new();
    private GrpcServer? _plain;
    private GrpcServer? _tls;

    public async Task InitializeAsync()
    {
        _plain = await StartOwnAsync(isTls: false);
        _tls = await StartOwnAsync(isTls: true);
    }

    /// <summary>A channel of ours to the server of a peer: "own", "cpp" or "node".</summary>
    public async Task<GrpcChannel> ConnectAsync(string server, bool isTls)
    {
        var address = server == "own" ? Own(isTls).Address : (await ServerAsync(server)).Address(isTls);
        return GrpcChannel.ForAddress(address, new GrpcChannelOptions
        {
            HttpHandler = isTls ? _certificate.CreateTrustingHandler() : null,
            DisposeHttpClient = true,
        });
    }

    /// <summary>What the client of a peer says of each case against our server.</summary>
    public Task<IReadOnlyDictionary<string, string>> OutcomesAsync(string client, bool isTls) => _outcomes.GetOrAdd(
        (client, isTls),
        key => new(async () => await (await PeerAsync(key.Peer)).RunClientAsync(
            Own(key.IsTls).Address, key.IsTls ? _certificate.CertificateFile : null))).Value;

    public async Task DisposeAsync()
    {
        foreach (var server in _servers.Values)
            if (server.Value.IsCompletedSuccessfully)
                (await server.Value).Dispose();

        await _plain!.DisposeAsync();
        await _tls!.DisposeAsync();
        _certificate.Dispose();
    }

    private GrpcServer Own(bool isTls) => isTls ? _tls! : _plain!;

    private Task<ForeignServer> ServerAsync(string peer) => _servers.GetOrAdd(
        peer, name => new(async () => await (await PeerAsync(name)).StartServerAsync(_certificate))).Value;

    private Task<ForeignPeer> PeerAsync(string name) => _peers.GetOrAdd(
        name, _ => new(() => name == "cpp" ? CppPeer.PrepareAsync() : NodePeer.PrepareAsync())).Value;

    private Task<GrpcServer> StartOwnAsync(bool isTls) => GrpcServer.StartAsync(
        services => services.AddGrpc(options => options.ResponseCompressionAlgorithm = "gzip"),
        application => application.MapGrpcService<InteropService>(),
        listen =>
        {
            if (isTls)
                listen.UseHttps(_certificate.Certificate);
        });
}
