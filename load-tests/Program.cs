using System.CommandLine;
using KdServing.LoadTests.Chaos;
using KdServing.LoadTests.Demo;
using KdServing.LoadTests.Kills;
using KdServing.LoadTests.Load;
using KdServing.LoadTests.Teaching;
using KdServing.LoadTests.Traffic;

// The verbs of ./kd that play the world around KdServing: the teacher, the recommender services, and all of it at once.
var root = new RootCommand("Load tests, teacher and traffic replay, and the demo of KdServing.")
{
    DemoCommand.Create(),
    TeachCommand.Create(),
    RankCommand.Create(),
    LoadCommand.Create(),
    ChaosCommand.Create(),
    VerifyKillsCommand.Create(),
};

const int BadArguments = 2;
ParseResult parsed;
try
{
    parsed = root.Parse(args);
}
catch (InvalidOperationException e)
{
    // A validator asked for a value that is no number.
    await Console.Error.WriteLineAsync($"kd: {e.Message}");
    return BadArguments;
}
// A stop in order takes longer than the default of two seconds.
var exit = await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromMinutes(2) });
return parsed.Errors.Count > 0 ? BadArguments : exit;
