namespace Grpc.Core;

/// <summary>TLS credentials of a channel.</summary>
public sealed class SslCredentials : ChannelCredentials
{
    /// <summary>TLS with the machine's trusted roots.</summary>
    public SslCredentials()
    {
    }

    /// <param name="rootCertificates">Trusted roots in PEM. A managed client takes them from its HTTP handler instead and refuses these.</param>
    public SslCredentials(string? rootCertificates) => RootCertificates = rootCertificates;

    public string? RootCertificates { get; }

    internal override bool IsComposable => true;

    public override void InternalPopulateConfiguration(ChannelCredentialsConfiguratorBase configurator, object state) =>
        configurator.SetSslCredentials(state, RootCertificates, null, null);
}
