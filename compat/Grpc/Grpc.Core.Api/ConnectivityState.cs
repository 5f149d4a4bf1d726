namespace Grpc.Core;

/// <summary>Where a channel stands with its connection.</summary>
public enum ConnectivityState
{
    /// <summary>No connection, and none is wanted yet.</summary>
    Idle,

    /// <summary>A connection is being opened.</summary>
    Connecting,

    /// <summary>A connection is open.</summary>
    Ready,

    /// <summary>The last attempt failed; there will be another.</summary>
    TransientFailure,

    /// <summary>The channel was disposed.</summary>
    Shutdown,
}
