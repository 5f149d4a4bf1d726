using System.CommandLine;
using System.Globalization;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using KdServing.Benchmarks;
using KdServing.Benchmarks.Catalog;
using KdServing.Benchmarks.Devices;
using KdServing.Benchmarks.Peers;
using KdServing.Benchmarks.Refreshes;
using KdServing.Benchmarks.Slopes;
using KdServing.Benchmarks.Swaps;

switch (args)
{
    case ["training", ..]:
        return KdServing.Benchmarks.Training.TrainingComparison.Run(args[1..]);
    case [PeersCommand.Verb, ..]:
        return await new RootCommand("Benchmarks.") { PeersCommand.Create() }.Parse(args).InvokeAsync();
    case [CatalogCommand.Verb or CatalogQualityCommand.Verb, ..]:
        return await new RootCommand("Benchmarks.") { CatalogCommand.Create(), CatalogQualityCommand.Create() }.Parse(args).InvokeAsync();
    case [SwapMemoryCommand.Verb, ..]:
        return await new RootCommand("Benchmarks.") { SwapMemoryCommand.Create() }.Parse(args).InvokeAsync();
    case [RefreshCommand.Verb or SlopeCommand.Verb, ..]:
        return await new RootCommand("Benchmarks.") { RefreshCommand.Create(), SlopeCommand.Create() }.Parse(args).InvokeAsync();
    case [DeviceCommand.Verb, ..]:
        return await new RootCommand("Benchmarks.") { DeviceCommand.Create() }.Parse(args).InvokeAsync();
    case [NoopServer.Verb, var port]:
        await NoopServer.RunAsync(int.Parse(port, CultureInfo.InvariantCulture));
        return 0;
    default:
        // In this process: BenchmarkDotNet's own projects would have to find the native libraries and the property that chooses packages.
        // A default: what the options of BenchmarkDotNet say ('--iterationCount 20') changes this job, and adds none. '--filter *' runs everything.
        var config = DefaultConfig.Instance.AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance).WithId("InProcess").AsDefault())
            .WithArtifactsPath(Path.Combine(Checkout.Root, ".kd", "benchmarks"));
        BenchmarkSwitcher.FromAssembly(typeof(ReferenceStudent).Assembly).Run(args, config);
        return 0;
}
