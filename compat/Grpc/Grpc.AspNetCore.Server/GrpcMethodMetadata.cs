using Grpc.Core;

namespace Grpc.AspNetCore.Server;

/// <summary>Tells middleware, as metadata of the endpoint, which method a request calls. Immutable.</summary>
public sealed class GrpcMethodMetadata(Type serviceType, IMethod method)
{
    public Type ServiceType { get; } = serviceType;

    public IMethod Method { get; } = method;
}
