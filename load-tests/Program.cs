using System.CommandLine;
using KdServing.LoadTests.Demo;
using KdServing.LoadTests.Teaching;
using KdServing.LoadTests.Traffic;

// The verbs of ./kd that play the world around KdServing: the teacher, the recommender services, and all of it at once.
var root = new RootCommand("Load tests, teacher and traffic replay, and the demo of KdServing.")
{
    DemoCommand.Create(),
    TeachCommand.Create(),
    RankCommand.Create(),
    LoadCommand.Create(),
};
// A stop in order takes longer than the default of two seconds.
return await root.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromMinutes(2) });
