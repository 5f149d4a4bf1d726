using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.LoadTests.Chaos;

/// <summary>What a chaos run did and what came of it. Its JSON keys are stable: scripts check them.</summary>
internal sealed record ChaosReport
{
    public required int Seed { get; init; }

    /// <summary>The drill run alone (<c>--only</c>); null: everything mixed.</summary>
    public string? Only { get; init; }

    public KillCounts Kills { get; init; } = new(0, 0, 0);

    /// <summary>Times the Distiller was stopped (SIGSTOP) for longer than its lease.</summary>
    public int Pauses { get; init; }

    /// <summary>Times a connection to Redis was delayed, reset, cut open or robbed of its replies.</summary>
    public int Partitions { get; init; }

    /// <summary>Times the disk under repository and checkpoints was full or refused writes.</summary>
    public int DiskFaults { get; init; }

    public RecordCounts Records { get; init; } = new(0, 0, 0, 0, 0);

    public RequestCounts Requests { get; init; } = new(0, 0, 0);

    public VersionCounts Versions { get; init; } = new(0, 0, 0);

    /// <summary>Null when the run has nothing to compare (a drill without a Distiller).</summary>
    public bool? WeightsEqualUnkilledRun { get; init; }

    /// <summary>Figures of a drill of its own, by name.</summary>
    public IReadOnlyDictionary<string, double> Figures { get; init; } = new Dictionary<string, double>();

    public double Seconds { get; init; }

    /// <summary>The invariants that did not hold, in words; empty when all did.</summary>
    public IReadOnlyList<string> Broken { get; init; } = [];

    public sealed record KillCounts(int Distiller, int Serving, int Redis);

    /// <param name="Produced">Entries that Redis acknowledged to the producer, poison included.</param>
    /// <param name="Applied">Sound records whose effect is in the final weights.</param>
    /// <param name="Lost">Acknowledged, and neither applied nor dead-lettered.</param>
    /// <param name="AppliedTwice">Records applied more than once.</param>
    /// <param name="DeadLettered">Poison entries found in the dead-letter stream.</param>
    public sealed record RecordCounts(long Produced, long Applied, long Lost, long AppliedTwice, long DeadLettered);

    /// <param name="Failed">After the client's one retry, outside the times in which Serving was dead.</param>
    public sealed record RequestCounts(long Sent, long Failed, long FailedWhileServingWasDead);

    /// <param name="Published">Seen whole in the repository.</param>
    /// <param name="Partial">Seen under a version's name with a file missing or wrong.</param>
    /// <param name="Rejected">Mutants that Serving refused.</param>
    public sealed record VersionCounts(long Published, long Partial, long Rejected);

    public string ToJson() => JsonSerializer.Serialize(this, ContractJson.Options);
}
