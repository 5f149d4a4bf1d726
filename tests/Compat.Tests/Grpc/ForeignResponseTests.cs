using Grpc.Core;
using Grpc.Net.Client;
using KdServing.Compat.Tests.Interop;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace KdServing.Compat.Tests;

/// <summary>What the client makes of responses that are not gRPC's, or not whole.</summary>
public sealed class ForeignResponseTests
{
    [Theory]
    [InlineData(400, StatusCode.Internal)]
    [InlineData(401, StatusCode.Unauthenticated)]
    [InlineData(403, StatusCode.PermissionDenied)]
    [InlineData(404, StatusCode.Unimplemented)]
    [InlineData(429, StatusCode.Unavailable)]
    [InlineData(500, StatusCode.Unknown)]
    [InlineData(502, StatusCode.Unavailable)]
    [InlineData(503, StatusCode.Unavailable)]
    [InlineData(504, StatusCode.Unavailable)]
    public Task An_HTTP_status_becomes_a_gRPC_status(int http, StatusCode code) =>
        ExpectAsync(code, $"HTTP status code: {http}", response => response.StatusCode = http);

    [Fact]
    public Task A_gRPC_status_is_trusted_more_than_the_HTTP_status() => ExpectAsync(StatusCode.DataLoss, "gone", response =>
    {
        response.StatusCode = 503;
        response.Headers["grpc-status"] = "15";
        response.Headers["grpc-message"] = "gone";
    });

    [Fact]
    public Task Another_content_type_is_named() =>
        ExpectAsync(StatusCode.Unknown, "text/html", response => response.ContentType = "text/html");

    [Fact]
    public Task No_content_type_is_named() => ExpectAsync(StatusCode.Unknown, "content-type", _ => { });

    [Fact]
    public Task No_status_is_named() => ExpectAsync(StatusCode.Unknown, "No grpc-status", Grpc);

    [Fact]
    public Task A_success_without_a_message_is_none() => ExpectAsync(StatusCode.Internal, "no message", response =>
    {
        Grpc(response);
        response.Headers["grpc-status"] = "0";
    });

    [Theory]
    [InlineData("99", StatusCode.Unknown)]
    [InlineData("x", StatusCode.Unknown)]
    [InlineData("-1", StatusCode.Unknown)]
    public Task A_status_that_does_not_exist_is_unknown(string status, StatusCode code) => ExpectAsync(code, "", response =>
    {
        Grpc(response);
        response.Headers["grpc-status"] = status;
    });

    [Fact]
    public Task A_message_in_bad_percent_encoding_stays_readable() => ExpectAsync(StatusCode.Aborted, "50% off %zz %", response =>
    {
        Grpc(response);
        response.Headers["grpc-status"] = "10";
        response.Headers["grpc-message"] = "50% off %zz %";
    });

    [Fact]
    public Task Half_a_message_is_named() => ExpectAsync(StatusCode.Internal, "Incomplete message.", response =>
    {
        Grpc(response);
        return response.Body.WriteAsync(RawHttp2.Frame([1, 2], length: 9)).AsTask();
    });

    [Fact]
    public Task A_length_above_the_limit_is_refused() => ExpectAsync(StatusCode.ResourceExhausted, "exceeds", response =>
    {
        Grpc(response);
        return response.Body.WriteAsync(RawHttp2.Frame([1, 2], length: uint.MaxValue)).AsTask();
    });

    [Fact]
    public Task Two_messages_are_too_many() => ExpectAsync(StatusCode.Internal, "Additional data", response =>
    {
        Grpc(response);
        return response.Body.WriteAsync(new byte[10]).AsTask();
    });

    [Theory]
    [InlineData(0x1, StatusCode.Internal)]
    [InlineData(0x2, StatusCode.Internal)]
    [InlineData(0x7, StatusCode.Unavailable)]
    [InlineData(0x8, StatusCode.Cancelled)]
    [InlineData(0xb, StatusCode.ResourceExhausted)]
    [InlineData(0xc, StatusCode.PermissionDenied)]
    public Task A_reset_stream_becomes_a_status(int http2Error, StatusCode code) => ExpectAsync(code, "", async response =>
    {
        Grpc(response);
        await response.StartAsync();
        response.HttpContext.Features.GetRequiredFeature<IHttpResetFeature>().Reset(http2Error);
    });

    private static void Grpc(HttpResponse response) => response.ContentType = "application/grpc";

    private static Task ExpectAsync(StatusCode code, string detail, Action<HttpResponse> respond) => ExpectAsync(code, detail, response =>
    {
        respond(response);
        return Task.CompletedTask;
    });

    private static async Task ExpectAsync(StatusCode code, string detail, Func<HttpResponse, Task> respond)
    {
        await using var server = await GrpcServer.StartAsync(_ => { }, application => application.Run(context => respond(context.Response)));
        using var channel = GrpcChannel.ForAddress(server.Address);
        var client = new TestService.TestServiceClient(channel);
        var failure = await Assert.ThrowsAsync<RpcException>(() => client.EmptyCallAsync(new Empty()).ResponseAsync);
        Assert.Equal(code, failure.StatusCode);
        Assert.Contains(detail, failure.Status.Detail, StringComparison.Ordinal);
    }
}
