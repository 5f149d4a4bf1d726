using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.LoadTests.Teaching;

/// <summary>Opens a connection that goes on trying, and says that it waits.</summary>
internal static class RedisConnection
{
    private static readonly TimeSpan Retry = TimeSpan.FromSeconds(1);

    /// <param name="address">HOST:PORT.</param>
    /// <exception cref="ContractException">It is no address.</exception>
    /// <exception cref="OperationCanceledException">Asked to stop.</exception>
    public static ConnectionMultiplexer Open(string address, CancellationToken cancellation)
    {
        ConnectionMultiplexer connection;
        try
        {
            connection = ConnectionMultiplexer.Connect(
                $"{address},abortConnect=false,connectRetry=3,connectTimeout=2000,syncTimeout=10000,keepAlive=10");
        }
        catch (ArgumentException e)
        {
            throw new ContractException("--redis", $"'{address}' is not HOST:PORT ({e.Message})");
        }
        for (var said = false; !Answers(connection); said = true)
        {
            if (!said)
                Console.Error.WriteLine($"kd teach: waiting for Redis at {address}; start it or pass --redis");
            cancellation.WaitHandle.WaitOne(Retry);
            if (cancellation.IsCancellationRequested)
            {
                connection.Close(allowCommandsToComplete: false);
                throw new OperationCanceledException(cancellation);
            }
        }
        return connection;
    }

    private static bool Answers(ConnectionMultiplexer connection)
    {
        try
        {
            connection.GetDatabase().Ping();
            return true;
        }
        catch (Exception e) when (LogitStreamWriter.IsTransient(e))
        {
            return false;
        }
    }
}
