namespace Grpc.Core.Internal;

/// <summary>Several call credentials as one.</summary>
internal sealed class CompositeCallCredentials : CallCredentials
{
    private readonly IReadOnlyList<CallCredentials> _credentials;

    public CompositeCallCredentials(IReadOnlyList<CallCredentials> credentials)
    {
        ArgumentNullException.ThrowIfNull(credentials);
        if (credentials.Count < 2)
            throw new ArgumentException("At least two credentials are needed to compose.", nameof(credentials));
        _credentials = [.. credentials];
    }

    public override void InternalPopulateConfiguration(CallCredentialsConfiguratorBase configurator, object state) =>
        configurator.SetCompositeCredentials(state, _credentials);
}
