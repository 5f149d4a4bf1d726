using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace KdServing.Serving.Transport;

/// <summary>Has Kestrel listen on a <see cref="RankingEndPoint"/> with connections that the <see cref="RankingThreads"/> read and write; its own sockets keep the rest.</summary>
internal sealed class PolledTransport(RankingThreads threads, IMemoryPoolFactory<byte> pools) : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private const int Backlog = 512; // as Kestrel's sockets have it

    public bool CanBind(EndPoint endpoint) => endpoint is RankingEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        try
        {
            var socket = SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
            socket.Listen(Backlog);
            return new(new PolledListener(socket, threads, pools.Create()));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            throw new AddressInUseException(e.Message, e);
        }
    }
}

/// <summary>Where ranking requests are listened for.</summary>
internal sealed class RankingEndPoint(IPAddress address, int port) : IPEndPoint(address, port);
