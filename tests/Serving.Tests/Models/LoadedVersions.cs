using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Models;

/// <summary>Versions of one student, loaded without a server around them.</summary>
public sealed class LoadedVersions : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly InferenceRuntime runtime;
    private readonly ScoringBufferPool pool = new();
    private readonly List<Servable> loaded = [];

    /// <param name="runtime">Where they are scored, disposed with them; null: on the processor.</param>
    public LoadedVersions(SampleStudent sample, int count, InferenceRuntime? runtime = null)
    {
        this.runtime = runtime ?? InferenceRuntime.Open(InferenceDevice.Cpu);
        Repository = new(folder["models"]);
        Loader = new(Repository, this.runtime, pool, new(), TimeSpan.FromMilliseconds(20));
        for (var version = 1; version <= count; version++)
        {
            sample.Publish(Repository);
            loaded.Add(Loader.Load(SampleStudent.Model, version, held: null));
            sample.Learn(version);
        }
    }

    public ModelRepository Repository { get; }

    public ServableLoader Loader { get; }

    /// <summary>By version number.</summary>
    public Servable this[int version] => loaded[version - 1];

    /// <summary>Publishes a version's files again as another version, whose manifest fits them.</summary>
    /// <param name="change">What the new manifest says otherwise; its number and files are put in.</param>
    /// <param name="tamper">Spoils files in their folder before they are hashed.</param>
    public void Republish(VersionManifest manifest, long version, Func<VersionManifest, VersionManifest>? change = null, Action<string>? tamper = null)
    {
        var from = Repository.Folder(manifest.Model, manifest.Version);
        Repository.Publish(manifest.Model, version,
            folder =>
            {
                foreach (var file in manifest.Files.Keys)
                    File.Copy(Path.Combine(from, file), Path.Combine(folder, file));
                tamper?.Invoke(folder);
            },
            files => (change?.Invoke(manifest) ?? manifest) with { Version = version, Files = files });
    }

    /// <summary>The same version once more, another servable.</summary>
    public Servable LoadAgain(int version)
    {
        var servable = Loader.Load(SampleStudent.Model, version, held: null);
        loaded.Add(servable);
        return servable;
    }

    public static void RequireScores(Servable servable, RankRequest request)
    {
        var run = servable.Rent();
        servable.Score(request, run, CallBudget.Unlimited);
        Assert.Equal(request.CandidateCount * servable.Schema.Targets.Count, run.Scores.Length);
        foreach (var score in run.Scores)
            Assert.InRange(score, float.Epsilon, 1);
        servable.Return(run);
    }

    public void Dispose()
    {
        foreach (var servable in loaded)
            servable.Dispose();
        pool.Dispose();
        runtime.Dispose();
        folder.Dispose();
    }
}
