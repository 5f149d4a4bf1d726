using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Reflection.V1;

namespace KdServing.Serving.Reflection;

/// <summary>The standard reflection service: tools such as grpcurl learn from it what this server speaks.</summary>
public sealed class ReflectionService(IHostApplicationLifetime lifetime) : ServerReflection.ServerReflectionBase
{
    private static readonly DescriptorIndex Index =
        new([Contracts.Ranking.Descriptor, Grpc.Health.V1.Health.Descriptor, ServerReflection.Descriptor]);

    public override async Task ServerReflectionInfo(IAsyncStreamReader<ServerReflectionRequest> requestStream,
        IServerStreamWriter<ServerReflectionResponse> responseStream, ServerCallContext context)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, lifetime.ApplicationStopping);
        try
        {
            while (await requestStream.MoveNext(ended.Token))
                await responseStream.WriteAsync(Answer(requestStream.Current));
        }
        catch (Exception) when (lifetime.ApplicationStopping.IsCancellationRequested)
        {
            throw new RpcException(new(StatusCode.Unavailable, "the server is stopping"));
        }
    }

    private static ServerReflectionResponse Answer(ServerReflectionRequest request)
    {
        var answer = new ServerReflectionResponse { ValidHost = request.Host, OriginalRequest = request };
        switch (request.MessageRequestCase)
        {
            case ServerReflectionRequest.MessageRequestOneofCase.ListServices:
                answer.ListServicesResponse = new() { Service = { Index.Services.Select(s => new ServiceResponse { Name = s }) } };
                break;
            case ServerReflectionRequest.MessageRequestOneofCase.FileByFilename:
                AnswerFile(answer, Index.File(request.FileByFilename));
                break;
            case ServerReflectionRequest.MessageRequestOneofCase.FileContainingSymbol:
                AnswerFile(answer, Index.FileOf(request.FileContainingSymbol));
                break;
            case ServerReflectionRequest.MessageRequestOneofCase.None:
                answer.ErrorResponse = Error(StatusCode.InvalidArgument, "message_request is not set");
                break;
            default:
                answer.ErrorResponse = Error(StatusCode.NotFound, "no message of this server has extensions");
                break;
        }
        return answer;
    }

    private static void AnswerFile(ServerReflectionResponse answer, FileDescriptor? file)
    {
        if (file is null)
            answer.ErrorResponse = Error(StatusCode.NotFound, "not found");
        else
            answer.FileDescriptorResponse = new() { FileDescriptorProto = { DescriptorIndex.WithImports(file).Select(f => f.SerializedData) } };
    }

    private static ErrorResponse Error(StatusCode code, string message) => new() { ErrorCode = (int)code, ErrorMessage = message };
}
