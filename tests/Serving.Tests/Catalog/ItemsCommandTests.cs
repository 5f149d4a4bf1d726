using KdServing.Contracts;
using KdServing.Serving.Catalog;

namespace KdServing.Serving.Tests.Catalog;

/// <summary><c>kd items</c>, as a person calls it, on a real Redis.</summary>
public sealed class ItemsCommandTests(RedisServer redis) : IClassFixture<RedisServer>
{
    [Fact]
    public async Task Items_are_put_and_removed_and_their_stream_is_shown()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["schema.json"], SampleStudent.SchemaJson);
        await File.WriteAllLinesAsync(folder["items.jsonl"],
            Enumerable.Range(0, 2500).Select(i => $$$"""{"id": {{{i}}}, "features": {"article": {{{i}}}, "words": 5}}""").Append("not json"));
        string[] common = ["--model", "sample", "--redis", redis.Endpoint];
        string[] schema = ["--schema", folder["schema.json"]];

        var load = await RunAsync([.. common, .. schema], "load", folder["items.jsonl"]);
        Assert.Equal(1, load.Exit);
        Assert.Contains("2,500 items put and 0 removed in 3 stream entries, 1 lines or messages left out", load.Output, StringComparison.Ordinal);
        var put = await RunAsync([.. common, .. schema], "put", """{"id": -7, "features": {"words": 1.5, "article": "seven"}}""");
        Assert.Equal(0, put.Exit);
        Assert.Equal(0, (await RunAsync([.. common, .. schema], "remove", "1", "2")).Exit);
        var status = await RunAsync(common, "status");
        Assert.Contains("5 entries", status.Output, StringComparison.Ordinal);

        var entries = await new ItemStream(redis.Database, "sample").ReadAsync(StreamId.Zero, 10, FeatureSchema.Parse(SampleStudent.SchemaJson));
        Assert.All(entries, e => Assert.Null(e.Fault));
        Assert.Equal([-7], entries[3].Batch!.Put);
        Assert.Equal(FeatureHash.StringId("seven"), entries[3].Batch!.Features.Single(f => f.Name == "article").Ints.Value[0]);
        Assert.Equal([1, 2], entries[4].Batch!.Remove);
        Assert.Contains("3 entries removed", (await RunAsync(common, "trim", entries[3].Id.ToString())).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Misuse_is_explained()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["schema.json"], SampleStudent.SchemaJson);
        string[] common = ["--model", "sample", "--redis", redis.Endpoint];
        Assert.Equal((2, "--schema: or --repository must be given"), Begin(await RunAsync(common, "remove", "1"), 39));
        Assert.Equal((2, "file: there is no file"), Begin(await RunAsync([.. common, "--schema", folder["schema.json"]], "load", folder["none"]), 22));
        Assert.Equal((2, "--redis: no Redis answers at 127.0.0.1:1"), Begin(await RunAsync(["--model", "sample", "--redis", "127.0.0.1:1"], "status"), 40));
        Assert.Equal((1, "item 1: features: item 1 has 1 features"), Begin(
            await RunAsync([.. common, "--schema", folder["schema.json"]], "put", """{"id": 1, "features": {"words": 1}}"""), 39));
    }

    private static (int, string) Begin((int Exit, string Output, string Error) result, int length) => (result.Exit, result.Error[..Math.Min(length, result.Error.Length)]);

    private static async Task<(int Exit, string Output, string Error)> RunAsync(string[] options, params string[] verb)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        var exit = await ItemsCommand.Create().Parse([.. verb, .. options]).InvokeAsync(new() { Output = output, Error = error });
        return (exit, output.ToString(), error.ToString());
    }
}
