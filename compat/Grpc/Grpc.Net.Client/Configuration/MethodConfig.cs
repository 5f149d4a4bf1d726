namespace Grpc.Net.Client.Configuration;

/// <summary>How the calls of some methods are made.</summary>
public sealed class MethodConfig
{
    public IList<MethodName> Names { get; } = [];

    /// <summary>Not supported here: a channel that is given one throws.</summary>
    public RetryPolicy? RetryPolicy { get; set; }

    /// <summary>Not supported here: a channel that is given one throws.</summary>
    public HedgingPolicy? HedgingPolicy { get; set; }
}
