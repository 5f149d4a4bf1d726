namespace KdServing.Distiller.Training;

/// <summary>What the command line says; see <c>--help</c>.</summary>
/// <param name="Redis">host:port.</param>
/// <param name="RepositoryFolder">Root of the model repository.</param>
/// <param name="StateFolder">Checkpoints and what else a restart needs.</param>
/// <param name="StatusFile">Null: none is written.</param>
/// <param name="FrozenAfterSeconds">The live version becomes <c>student_frozen</c> after so long; null: never.</param>
/// <param name="UntilIdleSeconds">Stop when the stream has been silent for so long; null: run until told to stop.</param>
public sealed record DistillerOptions(string Redis, string RepositoryFolder, string StateFolder, string? StatusFile,
    double? FrozenAfterSeconds, double? UntilIdleSeconds)
{
    /// <summary>Go on from the newest whole checkpoint although the streams no longer hold all that came after it.</summary>
    public bool AcceptLoss { get; init; }

    /// <summary>For how long the model stays this Distiller's when it is no longer heard of.</summary>
    public TimeSpan Lease { get; init; } = ModelOwner.DefaultLease;

    /// <summary>Dates versions, and tells how old the one in service is.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>Told before each step that a crash could fall between, on the thread of that step; the kill test ends the run there. Null in production.</summary>
    public Action<string>? AtStep { get; init; }
}
