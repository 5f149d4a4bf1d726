using Grpc.Core;

namespace Grpc.Net.Client.Internal;

/// <summary>Collects the interceptors that call credentials are made of.</summary>
internal sealed class CallCredentialsReader : CallCredentialsConfiguratorBase
{
    private readonly List<AsyncAuthInterceptor> _interceptors = [];

    /// <summary>Lets the credentials add their metadata to the headers of a request.</summary>
    public static async Task ApplyAsync(CallCredentials credentials, AuthInterceptorContext context, HttpRequestMessage request)
    {
        var reader = new CallCredentialsReader();
        credentials.InternalPopulateConfiguration(reader, reader);
        foreach (var interceptor in reader._interceptors)
        {
            var metadata = new Metadata();
            await interceptor(context, metadata).ConfigureAwait(false);
            RequestHeaders.Append(request.Headers, metadata);
        }
    }

    public override void SetCompositeCredentials(object state, IReadOnlyList<CallCredentials> credentials)
    {
        foreach (var credential in credentials)
            credential.InternalPopulateConfiguration(this, state);
    }

    public override void SetAsyncAuthInterceptorCredentials(object state, AsyncAuthInterceptor interceptor) =>
        _interceptors.Add(interceptor);
}
