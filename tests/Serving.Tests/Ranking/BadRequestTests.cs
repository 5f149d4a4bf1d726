using Google.Protobuf;
using Grpc.Core;
using KdServing.Contracts;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>Every way to get a request wrong is answered with the field and the remedy, and harms nobody else.</summary>
public sealed class BadRequestTests(SharedServer shared) : IClassFixture<SharedServer>
{
    // 10 candidates; name → how it is spoilt, the status, and how its detail begins.
    private static readonly Dictionary<string, (Action<RankRequest> Spoil, StatusCode Code, string Detail)> Cases = new()
    {
        ["no candidates"] = (r => r.CandidateCount = 0, StatusCode.InvalidArgument, "candidate_count: is 0"),
        ["negative candidates"] = (r => r.CandidateCount = -1, StatusCode.InvalidArgument, "candidate_count: is -1"),
        ["too many candidates"] = (r => r.CandidateCount = 2001, StatusCode.InvalidArgument, "candidate_count: is 2001; must be 1 to 2000"),
        ["huge count"] = (r => r.CandidateCount = int.MaxValue, StatusCode.InvalidArgument, "candidate_count:"),
        ["count that columns do not have"] = (r => r.CandidateCount = 11, StatusCode.InvalidArgument, "item["),
        ["negative top_k"] = (r => r.TopK = -1, StatusCode.InvalidArgument, "top_k:"),
        ["top_k above count"] = (r => r.TopK = 11, StatusCode.InvalidArgument, "top_k: is 11"),
        ["unknown target"] = (r => r.Targets.Add("like"), StatusCode.InvalidArgument, "targets[0]: is unknown; targets: click, buy"),
        ["target twice"] = (r => r.Targets.AddRange(["click", "click"]), StatusCode.InvalidArgument, "targets[1]: is named a second time"),
        ["long request id"] = (r => r.RequestId = new('x', 129), StatusCode.InvalidArgument, "request_id:"),
        ["long request id in UTF-8"] = (r => r.RequestId = new('é', 65), StatusCode.InvalidArgument, "request_id:"),
        ["unknown model"] = (r => r.Model = "other", StatusCode.NotFound, "model: this server has no model 'other'"),
        ["path as model"] = (r => r.Model = "../sample", StatusCode.InvalidArgument, "model:"),
        ["encoded path as model"] = (r => r.Model = "%2e%2e%2fsample", StatusCode.InvalidArgument, "model:"),
        ["NUL in model"] = (r => r.Model = "sample\0", StatusCode.InvalidArgument, "model:"),
        ["version that is not loaded"] = (r => r.Version = 7, StatusCode.FailedPrecondition, "version: 7 is not loaded; version 1 is"),
        ["negative version"] = (r => r.Version = -7, StatusCode.InvalidArgument, "version:"),
        ["fingerprint of another schema"] = (r => r.SchemaFingerprint = 1, StatusCode.FailedPrecondition, "schema_fingerprint: 0000000000000001 is not that of schema 'sample'"),
        ["no columns"] = (r => r.Item.Clear(), StatusCode.InvalidArgument, "item: feature 'article' is missing"),
        ["no user"] = (r => r.User.Clear(), StatusCode.InvalidArgument, "user: feature 'user_id' is missing"),
        ["column missing"] = (r => r.Item.RemoveAt(2), StatusCode.InvalidArgument, "item: feature 'age_hours' is missing"),
        ["column twice"] = (r => r.Item.Add(r.Item[0].Clone()), StatusCode.InvalidArgument, "item[5].name: feature 'article' is given twice"),
        ["unknown column"] = (r => r.Item[1].Name = "colour", StatusCode.InvalidArgument, "item[1].name: unknown feature 'colour'"),
        ["privileged column"] = (r => r.Item[1].Name = "co_clicks", StatusCode.InvalidArgument, "item[1].name: unknown feature 'co_clicks'"),
        ["user feature among items"] = (r => r.Item[1].Name = "hour", StatusCode.InvalidArgument, "item[1].name: unknown feature 'hour'"),
        ["two user rows"] = (r => r.User[0].Ints.Value.Add(1), StatusCode.InvalidArgument, "user[0]: feature 'user_id' has 2 values, expected 1"),
        ["short column"] = (r => r.Item[0].Ints.Value.RemoveAt(0), StatusCode.InvalidArgument, "item[0]: feature 'article' has 9 values, expected 10"),
        ["column without values"] = (r => r.Item[0].ClearValues(), StatusCode.InvalidArgument, "item[0]: feature 'article' must be sent as"),
        ["floats for ids"] = (r => r.Item[0].Floats = new() { Value = { new float[10] } }, StatusCode.InvalidArgument, "item[0]: feature 'article' must be sent as ints"),
        ["ids for numbers"] = (r => r.Item[1].Ints = new() { Value = { new long[10] } }, StatusCode.InvalidArgument, "item[1]: feature 'words' must be sent as floats"),
        ["raw bytes cut short"] = (r => r.Item[0].RawInt64 = ByteString.CopyFrom(new byte[79]), StatusCode.InvalidArgument, "item[0]: feature 'article' has 79 bytes, expected 80"),
        ["raw float bytes cut short"] = (r => r.Item[1].RawFloat32 = ByteString.CopyFrom(new byte[41]), StatusCode.InvalidArgument, "item[1]: feature 'words' has 41 bytes"),
        ["NaN"] = (r => r.Item[1].Floats.Value[3] = float.NaN, StatusCode.InvalidArgument, "words: value NaN of row 3 is not finite"),
        ["infinity"] = (r => r.Item[2].Floats.Value[0] = float.PositiveInfinity, StatusCode.InvalidArgument, "age_hours: value"),
        ["sequence lengths too long"] = (r => r.User[1].Sequences = new() { Lengths = { 3 }, Value = { 1, 2 } }, StatusCode.InvalidArgument, "user[1].sequences:"),
        ["negative sequence length"] = (r => r.User[1].Sequences = new() { Lengths = { -1 } }, StatusCode.InvalidArgument, "user[1].sequences.lengths:"),
        ["overflowing sequence lengths"] = (r => r.User[1].Sequences = new() { Lengths = { int.MaxValue }, Value = { 1 } }, StatusCode.InvalidArgument, "user[1].sequences:"),
    };

    public static TheoryData<string> Names => [.. Cases.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Is_refused_by_name(string name)
    {
        var (spoil, code, detail) = Cases[name];
        var request = shared.Sample.Request(candidates: 10, seed: 1);
        spoil(request);
        var e = await Assert.ThrowsAsync<RpcException>(async () => await shared.Server.Client.RankAsync(request));
        Assert.Equal(code, e.StatusCode);
        Assert.StartsWith(detail, e.Status.Detail, StringComparison.Ordinal);
        Assert.DoesNotContain(shared.Server.Repository.Root, e.Status.Detail, StringComparison.Ordinal);
        await shared.Server.Client.RankAsync(shared.Sample.Request(candidates: 10, seed: 2));
    }

    [Fact]
    public async Task A_message_above_the_limit_is_refused_before_it_is_read()
    {
        var request = shared.Sample.Request(candidates: 10, seed: 1);
        request.Item[0].RawInt64 = ByteString.CopyFrom(new byte[5 * 1024 * 1024]);
        var e = await Assert.ThrowsAsync<RpcException>(async () => await shared.Server.Client.RankAsync(request));
        Assert.Equal(StatusCode.ResourceExhausted, e.StatusCode);
    }

    [Fact]
    public async Task Without_a_version_requests_are_unavailable()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample: null);
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Client.RankAsync(sample.Request(candidates: 1, seed: 1)));
        Assert.Equal((StatusCode.Unavailable, "no version of model 'sample' is loaded yet"), (e.StatusCode, e.Status.Detail));
        sample.Publish(server.Repository);
        await server.ServesAsync(1);
        await server.Client.RankAsync(sample.Request(candidates: 1, seed: 1));
    }
}
