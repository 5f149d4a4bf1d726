using System.Net;
using System.Net.Sockets;

namespace KdServing.LoadTests.Demo;

/// <summary>Ports for servers that are started, killed and started again.</summary>
/// <remarks>They lie below those Linux gives to whoever asks for any (from 32768 on by default): nobody else takes one before its server listens, or between two of its lives.</remarks>
internal static class FreePort
{
    private const int First = 20_000;
    private const int Count = 12_000;

    private static int last = Random.Shared.Next(Count);

    /// <summary>A loopback port nobody listens on now, and that was not given out before.</summary>
    public static int Next()
    {
        for (var attempt = 0; attempt < Count; attempt++)
        {
            var port = First + (int)((uint)Interlocked.Increment(ref last) % Count);
            if (IsFree(port))
                return port;
        }
        throw new DemoException($"no port from {First} to {First + Count - 1} is free on 127.0.0.1");
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
