using KdServing.Contracts;
using KdServing.Distiller.Publishing;

namespace KdServing.Distiller.Tests.Publishing;

public sealed class VersionWriterTests : IDisposable
{
    private const string OneTargetNoLive = """
        { "name": "plain", "targets": ["click"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 50, "dim": 4 },
          { "name": "item_id", "side": "item", "kind": "hash", "buckets": 40, "dim": 4 } ] }
        """;

    private readonly TemporaryFolder folder = new();
    private readonly ModelRepository repository;

    public VersionWriterTests() => repository = new(folder.Path);

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("mlp", SampleStudent.SchemaJson)]
    [InlineData("two_tower", SampleStudent.SchemaJson)]
    [InlineData("mlp", OneTargetNoLive)]
    [InlineData("two_tower", OneTargetNoLive)]
    public void Every_family_is_published_with_graphs_that_agree_with_its_formulas(string family, string schema)
    {
        using var sample = new SampleStudent(family, seed: 5, schema);

        var manifest = sample.Publish(repository);

        Assert.Equal(VersionKind.Base, manifest.Kind);
        Assert.Equal(["golden.pb", "head.onnx", "item_encoder.onnx", "ranker.onnx", "rows.bin", "schema.json", "user_encoder.onnx"], manifest.Files.Keys);
        Assert.InRange(manifest.Metrics["parity_error"], 0, ParityCheck.Tolerance);
        Assert.Equal(0.75, manifest.Metrics["gauc"]);
        Assert.Equal(manifest.ToJson(), repository.Manifest(SampleStudent.Model, 1).ToJson());
    }
}
