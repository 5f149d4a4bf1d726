using System.Net;
using System.Net.Sockets;
using KdServing.LoadTests.Demo;

namespace KdServing.EndToEnd.Tests.Demo;

public sealed class FreePortTests
{
    private const int FirstEphemeral = 32768;

    [Fact]
    public void Ports_are_given_out_once_free_and_out_of_the_kernel_s_reach()
    {
        var listeners = new List<TcpListener>();
        try
        {
            for (var i = 0; i < 100; i++)
            {
                var port = FreePort.Next();
                Assert.InRange(port, 1024, FirstEphemeral - 1);
                // Fails if somebody listens there, the listeners before included.
                var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                listeners.Add(listener);
            }
        }
        finally
        {
            listeners.ForEach(l => l.Dispose());
        }
    }
}
