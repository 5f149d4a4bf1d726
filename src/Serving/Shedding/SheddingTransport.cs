using System.IO.Pipelines;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace KdServing.Serving.Shedding;

/// <summary>Refuses ranking calls where their bytes arrive, before they cost Kestrel a stream and a copy of their body. Why, and figures: ADR 27.</summary>
internal sealed class SheddingTransport : IDuplexPipe
{
    private readonly SheddingInput input;
    private readonly SharedOutput output;

    private SheddingTransport(IDuplexPipe transport, Refusals refusals)
    {
        output = new(transport.Output);
        input = new(transport.Input, new(refusals), output);
    }

    public PipeReader Input => input;

    public PipeWriter Output => output;

    /// <summary>Has the connections of a listener, HTTP/2 without TLS, go through it.</summary>
    public static void AddTo(ListenOptions listener)
    {
        var refusals = listener.ApplicationServices.GetRequiredService<Refusals>();
        listener.Use(next => async connection =>
        {
            var transport = connection.Transport;
            connection.Transport = new SheddingTransport(transport, refusals);
            try
            {
                await next(connection);
            }
            finally
            {
                connection.Transport = transport;
            }
        });
    }
}
