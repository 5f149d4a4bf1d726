using KdServing.Contracts;

namespace KdServing.Distiller.Publishing;

/// <summary>What a version will be, decided before it is drafted: with the weights of that moment it gives the same files again.</summary>
/// <param name="BaseVersion">The base its rows rest on; itself for a base.</param>
/// <param name="PreviousVersion">The version whose rows it changes; 0 for a base.</param>
/// <param name="CreatedAtMs">Milliseconds since the Unix epoch: decided, not read off a clock when it is written.</param>
/// <param name="Epoch">Fencing epoch of the Distiller that decided; 0: without one.</param>
public sealed record VersionPlan(long Version, bool IsBase, long BaseVersion, long PreviousVersion, long CreatedAtMs, long Epoch = 0, VersionLineage? Lineage = null);

/// <summary>What the next version continues.</summary>
/// <param name="NewestVersion">The version published last; 0: none.</param>
/// <param name="BaseVersion">The base it rests on; 0: the next one must be a base.</param>
/// <param name="PublishedSinceBase">That base included.</param>
/// <param name="NewestCreatedAtMs">When the newest was decided.</param>
public sealed record PublicationState(long NewestVersion, long BaseVersion, int PublishedSinceBase, long NewestCreatedAtMs);
