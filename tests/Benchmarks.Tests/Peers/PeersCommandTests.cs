using KdServing.Benchmarks.Peers;

namespace KdServing.Benchmarks.Tests.Peers;

public sealed class PeersCommandTests
{
    [Theory]
    [InlineData("--only", "cpp-async,kd-outline", "--only: there is no peer 'kd-outline'; there are ")]
    [InlineData("--methods", "Rank,Score", "--methods: 'Score' is neither Rank nor RankRaw")]
    [InlineData("--n", "500,many", "--n: 'many' is no whole number from 1 to 10000")]
    [InlineData("--n", "10001", "--n: '10001' is no whole number from 1 to 10000")]
    [InlineData("--concurrency", "0", "--concurrency: '0' is no whole number from 1 to 10000")]
    [InlineData("--rounds", "0", "--rounds, --open-samples and --seconds must be above 0")]
    [InlineData("--open-samples", "0", "--rounds, --open-samples and --seconds must be above 0")]
    [InlineData("--seconds", "NaN", "--rounds, --open-samples and --seconds must be above 0")]
    public async Task An_option_that_makes_no_sense_is_named(string option, string value, string error)
    {
        var (exit, said) = await RunAsync(option, value);

        Assert.Equal(2, exit);
        Assert.StartsWith("kd bench peers: " + error, said);
    }

    [Fact]
    public async Task Without_the_peers_sources_it_says_where_they_are_looked_for()
    {
        using var nothing = new TemporaryFolder();

        var (exit, said) = await RunAsync("--peers", nothing.Path);

        Assert.Equal(1, exit);
        Assert.StartsWith($"kd bench peers: the peers' sources are not in {nothing.Path}. Give the folder that holds cpp_server/ and models/ with --peers DIR", said);
    }

    private static async Task<(int Exit, string Error)> RunAsync(params string[] options)
    {
        using var error = new StringWriter();
        var exit = await PeersCommand.Create().Parse(options).InvokeAsync(new() { Output = TextWriter.Null, Error = error });
        return (exit, error.ToString());
    }
}
