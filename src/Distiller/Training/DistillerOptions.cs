namespace KdServing.Distiller.Training;

/// <summary>What the command line says; see <c>--help</c>.</summary>
/// <param name="Redis">host:port.</param>
/// <param name="RepositoryFolder">Root of the model repository.</param>
/// <param name="StateFolder">Checkpoints and what else a restart needs.</param>
/// <param name="StatusFile">Null: none is written.</param>
/// <param name="FrozenAfterSeconds">The live version becomes <c>student_frozen</c> after so long; null: never.</param>
/// <param name="UntilIdleSeconds">Stop when the stream has been silent for so long; null: run until told to stop.</param>
public sealed record DistillerOptions(string Redis, string RepositoryFolder, string StateFolder, string? StatusFile,
    double? FrozenAfterSeconds, double? UntilIdleSeconds);
