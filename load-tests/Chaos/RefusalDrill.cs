using System.Diagnostics;
using System.Globalization;
using KdServing.Contracts;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>A Serving process with one good version, to which bad ones are offered: none may come into service, and the good one stays.</summary>
internal sealed class RefusalDrill : IAsyncDisposable
{
    // The numbers of what is offered; versions 1 and 2 are good.
    private const long FirstBad = 1000;
    private const long Good = 2;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly ChaosSystem system;
    private readonly DemoFolder folder;
    private long next = FirstBad;

    private RefusalDrill(DemoFolder folder, ChaosSystem system, ChaosStudent student)
    {
        this.folder = folder;
        this.system = system;
        Student = student;
        Repository = new(system.Repository);
    }

    public ChaosStudent Student { get; }

    public ModelRepository Repository { get; }

    /// <summary>Versions refused so far.</summary>
    public int Refused { get; private set; }

    /// <summary>Versions that came into service though they are bad.</summary>
    public int Loaded { get; private set; }

    /// <summary>Why the last version was refused.</summary>
    public string LastReason { get; private set; } = "";

    /// <summary>Longest time from a version's appearance to its refusal, where one is offered at a time.</summary>
    public TimeSpan Slowest { get; private set; }

    /// <summary>What did not hold, in words.</summary>
    public List<string> Broken { get; } = [];

    public static async Task<RefusalDrill> StartAsync(ChaosOptions options, CancellationToken cancellation)
    {
        var folder = new DemoFolder(options.Folder);
        var student = ChaosStudent.Prepare(options.Data, Path.Combine(folder.Root, "config"), options.Seed);
        var system = new ChaosSystem(folder, student, withDisk: false);
        SampleVersions.Publish(new(system.Repository), student);
        system.StartServing();
        await system.ServesAsync(cancellation);
        return new(folder, system, student);
    }

    /// <summary>Folder of a good version, to be copied and spoilt.</summary>
    /// <param name="isBase">The base or the delta.</param>
    public string Source(bool isBase) => Repository.Folder(Student.Model, isBase ? 1 : Good);

    /// <summary>Offers versions all at once and waits until Serving has refused every one; their folders are removed then.</summary>
    /// <param name="make">Makes a bad version in the folder named; returns what it is, in words.</param>
    public async Task OfferAsync(IReadOnlyList<Func<string, string>> make, CancellationToken cancellation)
    {
        var offered = new Dictionary<long, string>();
        var clock = Stopwatch.StartNew();
        foreach (var bad in make)
            offered[next] = bad(Repository.Folder(Student.Model, next++));
        var waiting = offered.Keys.ToHashSet();
        while (waiting.Count > 0)
        {
            await system.CheckAsync(cancellation);
            var status = await system.ServingStatusAsync();
            if (status.Count("version") is > Good and var served)
            {
                Loaded++;
                Broken.Add($"a bad version came into service: {offered.GetValueOrDefault(served)}");
                // It would shield what is older; gone with its folder and a new process.
                Directory.Delete(Repository.Folder(Student.Model, served), recursive: true);
                waiting.Remove(served);
                await system.KillAsync("serving");
                system.StartServing();
                await system.ServesAsync(cancellation);
                continue;
            }
            foreach (var version in waiting.Where(v => status["versions_refused", v.ToString(CultureInfo.InvariantCulture)] is not null).ToArray())
            {
                waiting.Remove(version);
                Refused++;
                LastReason = status.Text("versions_refused", version.ToString(CultureInfo.InvariantCulture)) ?? "";
            }
            if (clock.Elapsed > Patience)
            {
                Broken.Add($"{waiting.Count} bad versions were neither refused nor loaded within {Patience.TotalSeconds:F0} s, e.g. {offered[waiting.First()]}");
                break;
            }
            if (waiting.Count > 0)
                await Task.Delay(make.Count == 1 ? 10 : 100, cancellation);
        }
        if (clock.Elapsed > Slowest)
            Slowest = clock.Elapsed;
        foreach (var version in offered.Keys.Where(v => Directory.Exists(Repository.Folder(Student.Model, v))))
            Directory.Delete(Repository.Folder(Student.Model, version), recursive: true);
    }

    /// <summary>Serving must have lived through all of it.</summary>
    public async Task RequireAliveAsync()
    {
        Broken.AddRange(system.UnexpectedEnds);
        if ((await system.ServingStatusAsync()).Count("version") != Good)
            Broken.Add("the good version is no longer in service");
    }

    public async ValueTask DisposeAsync()
    {
        await system.DisposeAsync();
        folder.Dispose();
    }
}
