using Grpc.Core;

namespace Grpc.Net.Client.Internal;

/// <summary>What the credentials of a channel ask for, checked against the scheme of its address.</summary>
internal sealed class ChannelCredentialsReader : ChannelCredentialsConfiguratorBase
{
    private readonly List<CallCredentials> _callCredentials = [];

    public ChannelCredentialsReader(Uri address, ChannelCredentials? credentials)
    {
        IsSecure = address.Scheme switch
        {
            "https" => true,
            "http" => false,
            var scheme => throw new InvalidOperationException(
                $"The address '{address}' has the scheme '{scheme}': use http or https, and an HttpHandler for other transports."),
        };
        if (credentials is null)
            return;

        var schemeIsSecure = IsSecure;
        credentials.InternalPopulateConfiguration(this, this);
        if (IsSecure != schemeIsSecure)
            throw new InvalidOperationException(
                $"The address '{address}' does not fit the credentials: SslCredentials need https, ChannelCredentials.Insecure needs http.");
    }

    public bool IsSecure { get; private set; }

    public IReadOnlyList<CallCredentials> CallCredentials => _callCredentials;

    public override void SetInsecureCredentials(object state) => IsSecure = false;

    public override void SetSslCredentials(
        object state, string? rootCertificates, KeyCertificatePair? keyCertificatePair, VerifyPeerCallback? verifyPeerCallback)
    {
        if (rootCertificates is not null || keyCertificatePair is not null || verifyPeerCallback is not null)
            throw new InvalidOperationException(
                "Certificates are not taken from SslCredentials: set them on the SslOptions of a SocketsHttpHandler and pass it as HttpHandler.");
        IsSecure = true;
    }

    public override void SetCompositeCredentials(object state, ChannelCredentials channelCredentials, CallCredentials callCredentials)
    {
        channelCredentials.InternalPopulateConfiguration(this, state);
        _callCredentials.Add(callCredentials);
    }
}
