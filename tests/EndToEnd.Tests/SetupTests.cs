namespace KdServing.EndToEnd.Tests;

public sealed class SetupTests : IDisposable
{
    private readonly SetupCheckout checkout = new();

    public void Dispose() => checkout.Dispose();

    [Fact]
    public async Task The_first_run_sets_up_and_the_second_does_nothing()
    {
        checkout.Lacks("libtorch-dev");

        (int status, string output, _) = await checkout.RunAsync("models list");
        Assert.Equal(0, status);
        Assert.Matches(@"^ran .*KdServing\.Serving\.dll models list\n$", output);
        Assert.Collection(
            checkout.Calls,
            call => Assert.Matches("^apt-get .*update$", call),
            call => Assert.Matches("^apt-get .*install .*libtorch-dev$", call),
            call => Assert.StartsWith("npm ci", call),
            call => Assert.StartsWith("dotnet restore", call),
            call => Assert.StartsWith("dotnet build", call),
            call => Assert.EndsWith("models list", call));

        int before = checkout.Calls.Length;
        (_, _, string error) = await checkout.RunAsync("models list");
        Assert.EndsWith("models list", Assert.Single(checkout.Calls[before..]));
        Assert.Empty(error);
    }

    [Fact]
    public async Task Only_a_change_of_content_builds_again()
    {
        await checkout.RunAsync("setup");
        int before = checkout.Calls.Length;

        checkout.Write("src/Program.cs", "// a source"); // a new time, the same content
        await checkout.RunAsync("setup");
        Assert.Equal(before, checkout.Calls.Length);

        checkout.Write("src/Program.cs", "// changed");
        await checkout.RunAsync("setup");
        Assert.Collection(
            checkout.Calls[before..],
            call => Assert.StartsWith("dotnet restore", call),
            call => Assert.StartsWith("dotnet build", call));
    }

    [Fact]
    public async Task Runs_at_the_same_time_set_up_once()
    {
        (int Status, string, string)[] runs = await Task.WhenAll(
            checkout.RunAsync("setup"), checkout.RunAsync("setup"), checkout.RunAsync("setup"));

        Assert.All(runs, run => Assert.Equal(0, run.Status));
        Assert.Single(checkout.Calls, call => call.StartsWith("npm ci", StringComparison.Ordinal));
        Assert.Single(checkout.Calls, call => call.StartsWith("dotnet build", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_failed_build_stops_the_verb_and_is_tried_again()
    {
        (int status, string output, string error) = await checkout.RunAsync("serve", ("BUILD_STATUS", "3"));
        Assert.Equal(3, status);
        Assert.Empty(output);
        Assert.Contains("FAIL build", error);

        (status, output, _) = await checkout.RunAsync("serve --port 1");
        Assert.Equal(0, status);
        Assert.Matches(@"^ran .*KdServing\.Serving\.dll --port 1\n$", output);
    }

    [Fact]
    public async Task The_verdict_sums_the_projects_and_is_the_last_line()
    {
        checkout.AddTestProject("A.Tests", (Total: 5, Executed: 4, Passed: 4));
        checkout.AddTestProject("B.Tests", (Total: 3, Executed: 3, Passed: 2), status: 1);

        (int status, string output, _) = await checkout.RunAsync("test");

        Assert.Equal(1, status);
        Assert.Equal("6 passed, 1 failed, 1 skipped", LastLine(output));
    }

    [Fact]
    public async Task All_passing_is_success()
    {
        checkout.AddTestProject("A.Tests", (Total: 5, Executed: 5, Passed: 5));

        (int status, string output, _) = await checkout.RunAsync("test");

        Assert.Equal(0, status);
        Assert.Equal("5 passed, 0 failed", LastLine(output));
    }

    // A test host that dies leaves no report, or one that counts only what had ended; a project without tests proves nothing.
    [Theory]
    [InlineData(null, 0)]
    [InlineData(null, 134)]
    [InlineData(2, 134)]
    [InlineData(0, 0)]
    public async Task A_project_that_crashed_or_ran_nothing_is_a_failure(int? passedBefore, int exitStatus)
    {
        checkout.AddTestProject("A.Tests", (Total: 5, Executed: 5, Passed: 5));
        checkout.AddTestProject("B.Tests", passedBefore is int n ? (n, n, n) : null, exitStatus);

        (int status, string output, _) = await checkout.RunAsync("test");

        Assert.Equal(1, status);
        Assert.Equal($"{5 + (passedBefore ?? 0)} passed, 1 failed", LastLine(output));
    }

    [Fact]
    public async Task A_filter_may_leave_out_projects_but_not_all_tests()
    {
        checkout.AddTestProject("A.Tests", (Total: 1, Executed: 1, Passed: 1));
        checkout.AddTestProject("B.Tests", (Total: 0, Executed: 0, Passed: 0));

        (int status, string output, _) = await checkout.RunAsync("test --filter FullyQualifiedName~A");
        Assert.Equal((0, "1 passed, 0 failed"), (status, LastLine(output)));

        checkout.AddTestProject("A.Tests", (Total: 0, Executed: 0, Passed: 0));
        (status, output, _) = await checkout.RunAsync("test --filter FullyQualifiedName~Nothing");
        Assert.Equal((1, "0 passed, 1 failed"), (status, LastLine(output)));
    }

    [Fact]
    public async Task When_the_set_up_fails_the_tests_fail()
    {
        checkout.AddTestProject("A.Tests", (Total: 1, Executed: 1, Passed: 1));

        (int status, string output, _) = await checkout.RunAsync("test", ("BUILD_STATUS", "1"));

        Assert.Equal((1, "0 passed, 1 failed"), (status, LastLine(output)));
    }

    [Theory]
    [InlineData("sevre", "unknown verb 'sevre'")]
    [InlineData("setup --all", "unknown option '--all'")]
    [InlineData("test --fliter x", "unknown option '--fliter'")]
    public async Task A_slip_of_the_keyboard_is_named(string arguments, string expected)
    {
        (int status, _, string error) = await checkout.RunAsync(arguments);
        Assert.NotEqual(0, status);
        Assert.Contains(expected, error);
    }

    private static string LastLine(string output) => output.TrimEnd('\n').Split('\n')[^1];
}
