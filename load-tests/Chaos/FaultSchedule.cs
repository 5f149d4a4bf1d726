namespace KdServing.LoadTests.Chaos;

/// <summary>What can be done to the system.</summary>
internal enum Fault
{
    KillDistiller,
    KillServing,
    KillRedis,

    /// <summary>SIGSTOP until the lease has ended and a standby has taken over.</summary>
    PauseDistiller,

    DelayRedis,
    ResetRedis,
    HalfOpenRedis,
    LoseReplies,
    FillDisk,
    RefuseWrites,
    PlantMutant,
}

/// <summary>A fault with the moment and the choices that belong to it, all drawn from the seed.</summary>
/// <param name="PauseSeconds">Time to wait before it.</param>
/// <param name="HoldSeconds">Time it lasts.</param>
/// <param name="Choice">For what else must be chosen, e.g. whose connection is cut.</param>
internal readonly record struct ScheduledFault(Fault Fault, double PauseSeconds, double HoldSeconds, int Choice);

/// <summary>An endless sequence of faults, a function of the seed.</summary>
internal static class FaultSchedule
{
    // A paused Distiller costs the lease's length: as often as the others it would fill the run.
    private static readonly Fault[] Frequent =
    [
        Fault.KillDistiller, Fault.KillServing, Fault.KillRedis, Fault.KillDistiller, Fault.DelayRedis, Fault.ResetRedis, Fault.HalfOpenRedis,
        Fault.LoseReplies, Fault.FillDisk, Fault.RefuseWrites, Fault.PlantMutant, Fault.PlantMutant,
    ];

    /// <summary>Cuts between the parts and Redis alone, of every kind in turn.</summary>
    public static IEnumerable<ScheduledFault> Partitions(int seed)
    {
        var random = new Random(seed);
        while (true)
        {
            foreach (var fault in (Fault[])[Fault.DelayRedis, Fault.ResetRedis, Fault.HalfOpenRedis, Fault.LoseReplies])
                yield return new(fault, 0.2 + random.NextDouble(), 0.2 + 1.3 * random.NextDouble(), random.Next());
        }
    }

    /// <summary>Kills of Serving alone.</summary>
    public static IEnumerable<ScheduledFault> ServingKills(int seed)
    {
        var random = new Random(seed);
        while (true)
            yield return new(Fault.KillServing, 0.1 + random.NextDouble(), 0, random.Next());
    }

    /// <summary>Rounds in which every kind comes up, in an order of its own each; a pause of the Distiller ends a round.</summary>
    public static IEnumerable<ScheduledFault> Make(int seed)
    {
        var random = new Random(seed);
        while (true)
        {
            var round = Frequent.ToArray();
            random.Shuffle(round);
            foreach (var fault in round.Append(Fault.PauseDistiller))
                yield return new(fault, 0.2 + 2.3 * random.NextDouble(), 0.2 + 1.8 * random.NextDouble(), random.Next());
        }
    }
}
