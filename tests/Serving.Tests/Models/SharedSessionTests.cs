using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Publishing.Onnx;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Models;

/// <summary>Versions of one shape share sessions of ONNX Runtime and bind their own weights: the scores of sessions of their own.</summary>
public sealed class SharedSessionTests : IDisposable
{
    private static readonly string[] Files = [StudentSignature.UserEncoderFile, StudentSignature.ItemEncoderFile, StudentSignature.HeadFile];

    private readonly TemporaryFolder folder = new();
    private readonly InferenceRuntime runtime = InferenceRuntime.Open(InferenceDevice.Cpu);
    private readonly ScoringBufferPool pool = new();

    public void Dispose()
    {
        pool.Dispose();
        runtime.Dispose();
        folder.Dispose();
    }

    [Theory]
    [InlineData("mlp")]
    [InlineData("two_tower")]
    public void Each_version_scores_with_its_own_weights(string family)
    {
        using var sample = new SampleStudent(family);
        using var versions = new LoadedVersions(sample, count: 3);
        var request = sample.Request(candidates: 37, seed: 1);
        var scored = new List<float[]>();
        for (var version = 1; version <= 3; version++)
        {
            // One after another, while all three are open: by the kernel, by the shared sessions, by sessions of the files as published.
            versions[version].Engine = ScoringEngine.OnnxRuntime;
            var shared = Logits(versions[version], request);
            versions[version].Reopen(Own(versions.Repository, version));
            var own = Logits(versions[version], request);
            for (var i = 0; i < own.Length; i++)
                Assert.Equal(own[i], shared[i], 1e-5f * MathF.Max(1, MathF.Abs(own[i])));
            scored.Add(shared);
        }
        Assert.NotEqual(scored[0], scored[1]);
        Assert.NotEqual(scored[1], scored[2]);
    }

    // What serves should be as fast as ONNX Runtime can be, so it is not what versions share.
    [Theory]
    [InlineData(EngineChoice.Auto, EngineParity.Tolerance, true)]
    [InlineData(EngineChoice.Auto, -1f, false)]
    [InlineData(EngineChoice.Onnx, EngineParity.Tolerance, false)]
    public void Who_serves_by_onnx_runtime_has_sessions_of_its_own(EngineChoice engine, float kernelTolerance, bool shares)
    {
        using var sample = new SampleStudent("mlp");
        var repository = new ModelRepository(folder["models"]);
        sample.Publish(repository);
        var loader = new ServableLoader(repository, runtime, pool, new(), TimeSpan.FromMilliseconds(20)) { Engine = engine, KernelTolerance = kernelTolerance };

        using var servable = loader.Load(SampleStudent.Model, 1, held: null);

        Assert.Equal(shares, servable.SharesSessions);
        Assert.Equal(shares, servable.Engine != ScoringEngine.OnnxRuntime);
        Assert.Equal(kernelTolerance < 0, servable.EngineRefusal is not null);
        LoadedVersions.RequireScores(servable, sample.Request(candidates: 20, seed: 1));
    }

    [Fact]
    public void What_differs_between_versions_is_constants()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 3);
        foreach (var file in Files)
        {
            // Version 2 is drawn from the seed of version 1.
            var (first, second) = (Taken(versions.Repository, 2, file), Taken(versions.Repository, 3, file));
            Assert.Equal(first.Model, second.Model);
            Assert.Equal(first.Constants.Select(c => c.Name), second.Constants.Select(c => c.Name));
            Assert.NotEqual(first.Constants.SelectMany(c => c.Raw), second.Constants.SelectMany(c => c.Raw));
            Assert.Empty(ModelProto.Parser.ParseFrom(first.Model).Graph.Initializer);
        }
    }

    [Fact]
    public void A_session_is_opened_once_a_shape_and_closed_after_its_last_version()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 2);
        var opened = 0;
        var sessions = new SharedSessions(model =>
        {
            opened++;
            return new(model);
        });
        var head = sessions.Open(Taken(versions.Repository, 1, StudentSignature.HeadFile));
        var encoder = sessions.Open(Taken(versions.Repository, 1, StudentSignature.UserEncoderFile));
        var next = sessions.Open(Taken(versions.Repository, 2, StudentSignature.HeadFile));
        Assert.Same(head.Session, next.Session);
        Assert.NotSame(head.Session, encoder.Session);
        Assert.Equal(2, opened);

        head.Dispose();
        Assert.NotEmpty(next.Session.InputMetadata);
        next.Dispose();
        sessions.Open(Taken(versions.Repository, 2, StudentSignature.HeadFile)).Dispose();
        encoder.Dispose();

        Assert.Equal(3, opened);
    }

    // Constants in float_data, or one that an input overrides: rare, and better opened as they are.
    [Fact]
    public void Odd_graphs_are_not_taken_apart()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        var good = versions.Repository.ReadVerified(versions.Repository.Manifest(SampleStudent.Model, 1), StudentSignature.HeadFile);

        var inFloats = ModelProto.Parser.ParseFrom(good);
        inFloats.Graph.Initializer[0].RawData = ByteString.Empty;
        Assert.Null(WeightlessGraph.Of(inFloats.ToByteArray()));
        var overridden = ModelProto.Parser.ParseFrom(good);
        overridden.Graph.Initializer[0].Name = StudentSignature.UserPart;
        Assert.Null(WeightlessGraph.Of(overridden.ToByteArray()));
        var twice = ModelProto.Parser.ParseFrom(good);
        twice.Graph.Initializer.Add(twice.Graph.Initializer[0]);
        Assert.Null(WeightlessGraph.Of(twice.ToByteArray()));

        using var own = runtime.OpenGraph(good, shares: false);
        Assert.False(own.IsShared);
    }

    private ServableGraphs Own(ModelRepository repository, long version)
    {
        var manifest = repository.Manifest(SampleStudent.Model, version);
        var opened = Files.Select(f => runtime.OpenGraph(repository.ReadVerified(manifest, f), shares: false)).ToList();
        return new(opened[0], opened[1], opened[2], Weights: null);
    }

    private static WeightlessGraph Taken(ModelRepository repository, long version, string file) =>
        WeightlessGraph.Of(repository.ReadVerified(repository.Manifest(SampleStudent.Model, version), file))!;

    private static float[] Logits(Servable servable, RankRequest request)
    {
        var run = servable.Rent();
        servable.Score(request, run, CallBudget.Unlimited);
        float[] logits = [.. run.Logits];
        servable.Return(run);
        return logits;
    }
}
