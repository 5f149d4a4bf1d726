using System.Diagnostics;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Publishing.Onnx;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Hostile;

/// <summary>The scan reads bytes that nobody vouches for: it refuses in words, quickly, or finds nothing wrong; it never breaks.</summary>
public sealed class SpoiltGraphTests
{
    private const int Mutants = 5000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    [Theory]
    [InlineData(StudentSignature.HeadFile)]
    [InlineData(StudentSignature.UserEncoderFile)]
    public void Spoilt_graphs_are_refused_or_harmless(string name)
    {
        using var folder = new TemporaryFolder();
        using var sample = new SampleStudent("mlp");
        var repository = new ModelRepository(folder["models"]);
        var manifest = sample.Publish(repository);
        var good = repository.ReadVerified(manifest, name);
        var contract = name == StudentSignature.HeadFile ? GraphContract.Head(manifest.Signature) : GraphContract.UserEncoder(manifest.Signature);
        OnnxScan.Require(contract, good);
        var refused = 0;
        for (var seed = 0; seed < Mutants; seed++)
        {
            var mutant = HostileBytes.Mutate(good, new Random(seed));
            var started = Stopwatch.GetTimestamp();
            try
            {
                OnnxScan.Require(contract, mutant);
            }
            catch (ContractException)
            {
                refused++;
            }
            catch (Exception e)
            {
                Assert.Fail($"mutant of seed {seed}: {e}");
            }
            Assert.True(Stopwatch.GetElapsedTime(started) < Limit, $"mutant of seed {seed} took {Stopwatch.GetElapsedTime(started)}");
        }
        Assert.True(refused > Mutants / 4, $"only {refused} of {Mutants} were refused");
    }

    // ONNX Runtime was asked to open these before (kd chaos --only external-data).
    [Theory]
    [InlineData(0)]
    [InlineData(12)]
    [InlineData(99)]
    [InlineData(-1)]
    [InlineData(long.MaxValue)]
    public void An_opset_that_nobody_knows_is_refused(long version)
    {
        using var folder = new TemporaryFolder();
        using var sample = new SampleStudent("mlp");
        var repository = new ModelRepository(folder["models"]);
        var manifest = sample.Publish(repository);
        var model = ModelProto.Parser.ParseFrom(repository.ReadVerified(manifest, StudentSignature.HeadFile));
        model.OpsetImport[0].Version = version;
        var refusal = Assert.Throws<ContractException>(() => OnnxScan.Require(GraphContract.Head(manifest.Signature), model.ToByteArray()));
        Assert.Contains("opset", refusal.Reason, StringComparison.Ordinal);
    }
}
