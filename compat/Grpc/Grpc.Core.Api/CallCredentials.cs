using Grpc.Core.Internal;

namespace Grpc.Core;

/// <summary>Metadata that prove, with each call, who is calling.</summary>
public abstract class CallCredentials
{
    /// <summary>Several credentials as one; all of them add their metadata, in order.</summary>
    public static CallCredentials Compose(params CallCredentials[] credentials) => new CompositeCallCredentials(credentials);

    /// <summary>Credentials from a method that adds metadata to a call before it is sent.</summary>
    public static CallCredentials FromInterceptor(AsyncAuthInterceptor interceptor) => new InterceptorCallCredentials(interceptor);

    /// <summary>Tells the transport what these credentials are made of.</summary>
    public abstract void InternalPopulateConfiguration(CallCredentialsConfiguratorBase configurator, object state);
}
