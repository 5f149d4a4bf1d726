namespace KdServing.Serving.Tests.Ranking;

/// <summary>One server with one version, for tests that change neither.</summary>
public sealed class SharedServer : IAsyncLifetime
{
    public SampleStudent Sample { get; } = new("mlp");

    public RunningServer Server { get; private set; } = null!;

    public async Task InitializeAsync() => Server = await RunningServer.StartAsync(Sample, new() { MaxCandidates = 2000 });

    public async Task DisposeAsync()
    {
        await Server.DisposeAsync();
        Sample.Dispose();
    }
}
