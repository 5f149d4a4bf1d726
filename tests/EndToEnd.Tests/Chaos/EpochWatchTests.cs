using KdServing.LoadTests.Chaos;

namespace KdServing.EndToEnd.Tests.Chaos;

/// <summary>Lines as <c>MONITOR</c> of Redis 7 writes them.</summary>
public sealed class EpochWatchTests
{
    private const string Claim = """
        +1.0 [0 127.0.0.1:1] "EVAL" "local holder = redis.call('GET', KEYS[1])\n say \"x\"" "2" "kd:m:owner" "kd:m:epoch" "self" "" "15000" "0" "0"
        1.1 [0 lua] "GET" "kd:m:owner"
        1.1 [0 lua] "INCR" "kd:m:epoch"
        1.2 [0 lua] "SET" "kd:m:owner" "self" "PX" "15000"
        """;

    [Fact]
    public void What_the_newest_epoch_does_is_right()
    {
        using var watch = Watch(Claim, Fenced(1, "1.3 [0 lua] \"XADD\" \"kd:m:journal\" \"1-0\" \"j\" \"{}\""));

        Assert.Equal((1, 0, 0), (watch.Newest, watch.Stale.Count, watch.Refused));
    }

    [Fact]
    public void What_is_refused_is_counted_and_no_fault()
    {
        using var watch = Watch(Claim, Claim, Fenced(1));

        Assert.Equal((2, 0, 1), (watch.Newest, watch.Stale.Count, watch.Refused));
    }

    [Theory]
    [InlineData("XADD", "kd:m:journal")]
    [InlineData("XADD", "kd:m:versions")]
    [InlineData("XTRIM", "kd:m:logits")]
    public void What_an_epoch_does_that_is_over_is_found(string command, string key)
    {
        using var watch = Watch(Claim, Claim, Fenced(1, $"1.3 [0 lua] \"{command}\" \"{key}\" \"1-0\""));

        Assert.Equal($"{command} {key} for epoch 1 in epoch 2", Assert.Single(watch.Stale));
        Assert.Equal(0, watch.Refused);
    }

    [Fact]
    public void What_goes_past_the_fence_is_found()
    {
        using var watch = Watch(Claim, "1.3 [0 127.0.0.1:1] \"XADD\" \"kd:m:versions\" \"*\" \"version\" \"7\"", "1.4 [0 127.0.0.1:1] \"XADD\" \"kd:m:logits\" \"*\" \"r\" \"\\x00\"");

        Assert.Equal("XADD kd:m:versions past the fence", Assert.Single(watch.Stale));
    }

    // Redis lost the epoch and was told it again.
    [Fact]
    public void An_epoch_that_is_set_counts()
    {
        using var watch = Watch(Claim, Claim.Replace("\"INCR\" \"kd:m:epoch\"", "\"SET\" \"kd:m:epoch\" \"42\"", StringComparison.Ordinal));

        Assert.Equal(42, watch.Newest);
    }

    private static string Fenced(long epoch, string done = "") =>
        $"1.2 [0 127.0.0.1:1] \"EVAL\" \"local epoch = redis.call('GET', KEYS[1])\" \"2\" \"kd:m:epoch\" \"kd:m:journal\" \"{epoch}\" \"1-0\"\n1.2 [0 lua] \"GET\" \"kd:m:epoch\"\n{done}";

    private static EpochWatch Watch(params string[] text) => EpochWatch.Of("m", text.SelectMany(t => t.Split('\n')));
}
