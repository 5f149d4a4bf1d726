using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

if (args is ["training", ..])
    return KdServing.Benchmarks.Training.TrainingComparison.Run(args[1..]);

// In this process: BenchmarkDotNet's own projects would have to find the native libraries and the property that chooses packages.
// '--job short' and the other options of BenchmarkDotNet work; '--filter *' runs everything.
var config = DefaultConfig.Instance.AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance).WithId("InProcess"));
BenchmarkSwitcher.FromAssembly(typeof(KdServing.Benchmarks.ReferenceStudent).Assembly).Run(args, config);
return 0;
