using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Reflection.V1;

namespace KdServing.Serving.Tests.Reflection;

/// <summary>A tool that knows nothing of us learns our services over the standard protocol.</summary>
public sealed class ReflectionTests
{
    [Fact]
    public async Task A_client_can_rebuild_every_service_from_what_it_is_told()
    {
        await using var server = await RunningServer.StartAsync(sample: null);
        using var call = new ServerReflection.ServerReflectionClient(server.Channel).ServerReflectionInfo();
        var services = (await AskAsync(call, new() { ListServices = "" })).ListServicesResponse.Service.Select(s => s.Name);
        Assert.Equal(["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "kdserving.v1.Ranking"], services);

        var answer = await AskAsync(call, new() { FileContainingSymbol = "kdserving.v1.Ranking" });
        // Imports come last here and first where they are read.
        var files = FileDescriptor.BuildFromByteStrings(answer.FileDescriptorResponse.FileDescriptorProto.Reverse());
        var ranking = files.SelectMany(f => f.Services).Single();
        Assert.Equal(["Rank", "RankStream"], ranking.Methods.Select(m => m.Name));
        Assert.Contains("top_k", ranking.Methods[0].InputType.Fields.InDeclarationOrder().Select(f => f.Name));

        var byName = await AskAsync(call, new() { FileByFilename = "kdserving/v1/features.proto" });
        Assert.Single(byName.FileDescriptorResponse.FileDescriptorProto);
        foreach (var symbol in (string[])["kdserving.v1.Column", "kdserving.v1.RankRequest.top_k", "kdserving.v1.Ranking.Rank", "grpc.health.v1.HealthCheckResponse.ServingStatus"])
            Assert.NotNull((await AskAsync(call, new() { FileContainingSymbol = symbol })).FileDescriptorResponse);
    }

    [Fact]
    public async Task What_does_not_exist_is_not_found_and_the_stream_goes_on()
    {
        await using var server = await RunningServer.StartAsync(sample: null);
        using var call = new ServerReflection.ServerReflectionClient(server.Channel).ServerReflectionInfo();
        foreach (var request in (ServerReflectionRequest[])[new() { FileContainingSymbol = "kdserving.v1.Nothing" }, new() { FileByFilename = "../../etc/passwd" }, new() { AllExtensionNumbersOfType = "kdserving.v1.Column" }])
        {
            var answer = await AskAsync(call, request);
            Assert.Equal((int)StatusCode.NotFound, answer.ErrorResponse.ErrorCode);
            Assert.Equal(request, answer.OriginalRequest);
        }
        Assert.Equal((int)StatusCode.InvalidArgument, (await AskAsync(call, new())).ErrorResponse.ErrorCode);
        await call.RequestStream.CompleteAsync();
        Assert.False(await call.ResponseStream.MoveNext(CancellationToken.None));
    }

    private static async Task<ServerReflectionResponse> AskAsync(
        AsyncDuplexStreamingCall<ServerReflectionRequest, ServerReflectionResponse> call, ServerReflectionRequest request)
    {
        await call.RequestStream.WriteAsync(request);
        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
        return call.ResponseStream.Current;
    }
}
