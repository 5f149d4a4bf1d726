namespace KdServing.LoadTests.Chaos;

/// <summary>One kind of harm by itself, as often as a long form needs: <c>kd chaos --only NAME --count N</c>.</summary>
/// <param name="What">In a few words, for the help.</param>
/// <param name="LongCount">Repetitions of the long form.</param>
internal sealed record Drill(string Name, string What, int LongCount, Func<ChaosOptions, int, CancellationToken, Task<ChaosReport>> RunAsync)
{
    public static readonly IReadOnlyList<Drill> All =
    [
        new("distiller-kills", "kill -9 at random moments while records arrive", 1000, DistillerKillsDrill.RunAsync),
        new("redis-kills", "kill -9 under a producer that writes as fast as it can", 300, RedisKillsDrill.RunAsync),
        new("serving-kills", "kill -9 under ranking requests", 200, (o, count, c) => Whole(o, FaultSchedule.ServingKills(o.Seed), count, c)),
        new("rolling-restarts", "SIGTERM to two servers in turn", 200, RollingRestartsDrill.RunAsync),
        new("partitions", "delays, resets, half-open links and lost replies", 100, (o, count, c) => Whole(o, FaultSchedule.Partitions(o.Seed), count, c)),
        new("pauses", "SIGSTOP past the lease, while a standby takes over", 200, PausesDrill.RunAsync),
        new("power-loss", "what was not flushed is gone; needs root", 100, PowerLossDrill.RunAsync),
        new("clock", "wall clocks set by an hour, forth and back; needs faketime", 100, ClockDrill.RunAsync),
        new("failover", "an asynchronous replica takes the primary's place", 50, FailoverDrill.RunAsync),
        new("stalled-consumer", "the Distiller stands still, the stream fills up", 20, StalledConsumerDrill.RunAsync),
        new("poison", "a stream of so many entries with 1 % poison and one without, throughput compared", 100_000, PoisonDrill.RunAsync),
        new("publish-crash", "a publication killed or refused at each system call; needs strace", int.MaxValue, PublishCrashDrill.RunAsync),
        new("mutants", "damaged model files", 10_000, MutantsDrill.RunAsync),
        new("external-data", "graphs that reach outside, bombs, nesting, foreign operators", int.MaxValue, MaliciousDrill.RunAsync),
    ];

    // The whole system, as long as the sequence takes.
    private static Task<ChaosReport> Whole(ChaosOptions options, IEnumerable<ScheduledFault> faults, int count, CancellationToken cancellation) =>
        new ChaosRun(options with { Minutes = double.PositiveInfinity }, faults.Take(count)).RunAsync(cancellation);
}
