using System.Globalization;
using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>Does to a running system what a schedule says, and puts it right again. One caller.</summary>
/// <param name="say">Told what is done, as it is done.</param>
internal sealed class FaultInjector(ChaosSystem system, ChaosStudent student, RepositoryWatch watch, IDatabase redis, Random random, Action<string> say)
{
    private static readonly TimeSpan RefusalPatience = TimeSpan.FromSeconds(5);

    // The lease, its renewal and a start of the standby.
    private static readonly TimeSpan TakeOverPatience = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan ResignPatience = TimeSpan.FromSeconds(20);

    private readonly Dictionary<Fault, int> counts = [];

    /// <summary>Mutants that Serving has looked at and refused.</summary>
    public int MutantsRefused { get; private set; }

    /// <summary>What a fault has shown to be broken, in words.</summary>
    public List<string> Broken { get; } = [];

    public int Count(params ReadOnlySpan<Fault> faults)
    {
        var sum = 0;
        foreach (var fault in faults)
            sum += counts.GetValueOrDefault(fault);
        return sum;
    }

    public async Task DoAsync(ScheduledFault scheduled, CancellationToken cancellation)
    {
        var hold = TimeSpan.FromSeconds(scheduled.HoldSeconds);
        var done = scheduled.Fault switch
        {
            Fault.KillDistiller => await KillDistillerAsync(),
            Fault.KillServing => await KillServingAsync(cancellation),
            Fault.KillRedis => await KillRedisAsync(hold, cancellation),
            Fault.PauseDistiller => await PauseDistillerAsync(hold, cancellation),
            Fault.DelayRedis => await CutAsync(LinkFault.Delay, hold, scheduled.Choice, cancellation),
            Fault.ResetRedis => await CutAsync(LinkFault.Reset, hold, scheduled.Choice, cancellation),
            Fault.HalfOpenRedis => await CutAsync(LinkFault.HalfOpen, hold, scheduled.Choice, cancellation),
            Fault.LoseReplies => await CutAsync(LinkFault.LoseReplies, hold, scheduled.Choice, cancellation),
            Fault.FillDisk => await FillDiskAsync(hold, cancellation),
            Fault.RefuseWrites => await RefuseWritesAsync(hold, cancellation),
            _ => await PlantMutantAsync(scheduled.Choice, cancellation),
        };
        if (done)
            counts[scheduled.Fault] = counts.GetValueOrDefault(scheduled.Fault) + 1;
    }

    private async Task<bool> KillDistillerAsync()
    {
        say("kill -9 distiller");
        await system.KillAsync("distiller");
        system.StartDistiller();
        return true;
    }

    private async Task<bool> KillServingAsync(CancellationToken cancellation)
    {
        say("kill -9 serving");
        system.DeadServing.Begin();
        await system.KillAsync("serving");
        system.StartServing();
        await system.ServesAsync(cancellation);
        system.DeadServing.End();
        return true;
    }

    private async Task<bool> KillRedisAsync(TimeSpan hold, CancellationToken cancellation)
    {
        say("kill -9 redis");
        await system.KillAsync("redis");
        await Task.Delay(hold / 2, cancellation);
        await system.StartRedisAsync(cancellation);
        return true;
    }

    // The owner stands still until its lease has ended and a standby has taken over; then it wakes up, and must notice.
    private async Task<bool> PauseDistillerAsync(TimeSpan hold, CancellationToken cancellation)
    {
        // One that is still starting, or waits for Redis, owns nothing yet.
        await system.UntilAsync(() => Task.FromResult(system.Distiller.Text("phase") == "training"), TakeOverPatience, "the Distiller to train", cancellation);
        say("SIGSTOP distiller, until a standby has taken over");
        system.Stop("distiller");
        system.MayEnd("distiller");
        system.StartDistiller("standby");
        await system.UntilAsync(() => Task.FromResult(system.Status("standby").Text("phase") == "training"), TakeOverPatience,
            "the standby to take over", cancellation);
        await Task.Delay(hold, cancellation);
        system.Continue("distiller");
        say("SIGCONT: the Distiller of before is back");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(ResignPatience);
        while (system.IsRunning("distiller") && !limit.IsCancellationRequested)
            await Task.Delay(20, cancellation);
        if (system.IsRunning("distiller"))
        {
            Broken.Add($"a Distiller that had lost its lease went on for {ResignPatience.TotalSeconds:F0} s");
            await system.KillAsync("distiller");
        }
        system.Rename("standby", "distiller");
        return true;
    }

    private async Task<bool> CutAsync(LinkFault fault, TimeSpan hold, int choice, CancellationToken cancellation)
    {
        var (whose, links) = (choice % 4) switch
        {
            0 => ("distiller", (FaultProxy[])[system.DistillerLink]),
            1 => ("serving", [system.ServingLink]),
            2 => ("producer", [system.ProducerLink]),
            _ => ("everybody", [system.DistillerLink, system.ServingLink, system.ProducerLink]),
        };
        // Now and then long enough for a command to time out.
        if (choice / 4 % 4 == 0)
            hold *= 6;
        say(string.Create(CultureInfo.InvariantCulture, $"{fault} between {whose} and Redis for {hold.TotalSeconds:F1} s"));
        foreach (var link in links)
            link.Set(fault);
        await Task.Delay(hold, cancellation);
        foreach (var link in links)
            link.Set(LinkFault.None);
        return true;
    }

    private async Task<bool> FillDiskAsync(TimeSpan hold, CancellationToken cancellation)
    {
        if (system.Disk is not { } disk)
            return false;
        say("disk full");
        disk.Fill();
        await Task.Delay(hold * 2, cancellation);
        disk.Empty();
        return true;
    }

    private async Task<bool> RefuseWritesAsync(TimeSpan hold, CancellationToken cancellation)
    {
        if (system.Disk is not { } disk)
            return false;
        for (var attempt = 0; !disk.TryRefuseWrites(); attempt++)
        {
            if (attempt == 100)
                return false;
            await Task.Delay(20, cancellation);
        }
        say("disk read-only");
        await Task.Delay(hold * 2, cancellation);
        disk.AllowWrites();
        return true;
    }

    private async Task<bool> PlantMutantAsync(int choice, CancellationToken cancellation)
    {
        var repository = new ModelRepository(system.Repository);
        var whole = watch.Whole.ToHashSet();
        var versions = repository.Versions(student.Model);
        if (versions.Where(whole.Contains).DefaultIfEmpty().Max() is not (> 0 and var source))
            return false;
        var version = versions[^1] + 1;
        watch.Plant(version);
        try
        {
            var done = Mutation.Make(repository.Folder(student.Model, source), repository.Folder(student.Model, version), random, choice);
            say($"mutant of version {source} as version {version}: {done}");
            await new VersionAnnouncements(redis, student.Model).PublishedAsync(version);
        }
        catch (Exception e) when (LogitStreamWriter.IsTransient(e))
        {
            // Our own connection has just lost its server: the mutant lies there unannounced, and will be found.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ContractException)
        {
            // The Distiller was faster with that number, or the source is gone: no mutant this time.
            watch.Unplant(version);
            return false;
        }
        for (var clock = System.Diagnostics.Stopwatch.StartNew(); clock.Elapsed < RefusalPatience; await Task.Delay(20, cancellation))
        {
            var status = await system.ServingStatusAsync();
            if (status.Count("version") == version)
                Broken.Add($"mutant {version} is in service");
            if (status["versions_refused", version.ToString(CultureInfo.InvariantCulture)] is not null)
            {
                MutantsRefused++;
                break;
            }
            if (status.Count("version") > version)
                break; // a newer one came first
        }
        return true;
    }
}
