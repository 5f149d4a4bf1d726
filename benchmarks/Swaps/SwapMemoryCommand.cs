using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using KdServing.Contracts;

namespace KdServing.Benchmarks.Swaps;

/// <summary><c>bench swaps</c>: resident memory over thousands of swaps, for the ways there are to change a version's dense weights.</summary>
internal static class SwapMemoryCommand
{
    public const string Verb = "swaps";

    public static Command Create()
    {
        var swaps = new Option<int>("--swaps") { Description = "Swaps to make.", DefaultValueFactory = _ => 10_000 };
        var way = new Option<SwapWay>("--way")
        {
            Description = "sessions: three ONNX Runtime sessions opened, run and closed a swap. bound: one session kept, the weights are inputs in one of two buffers. "
                + "kernel: weights read for the hand-written kernel, no session. versions: all that the server does (rows forked, sessions, kernel, parity). "
                + "One way a process: what one leaves behind must not be counted for the next.",
            Required = true,
        };
        var command = new Command(Verb, "Resident memory over thousands of swaps: reference student, 10 + 10 features of width 16, mlp 128-64-1.") { swaps, way };
        command.SetAction((result, stop) => Task.FromResult(Run(result.GetValue(way), result.GetValue(swaps), result.InvocationConfiguration.Output, stop)));
        return command;
    }

    private static int Run(SwapWay way, int swaps, TextWriter output, CancellationToken stop)
    {
        using var student = new ReferenceStudent();
        var repository = new ModelRepository(student.Folder);
        var manifest = repository.Manifest(ReferenceStudent.Model, 1);
        byte[][] graphs = [.. new[] { StudentSignature.UserEncoderFile, StudentSignature.ItemEncoderFile, StudentSignature.HeadFile }.Select(f => repository.ReadVerified(manifest, f))];
        using var swapping = DenseSwap.Create(way, student, graphs);
        output.WriteLine($"{way.ToString().ToLowerInvariant()}: {"swaps",8} {"resident MB",12} {"since swap 10",14} {"ms a swap",10}");
        var (after10, watch, total) = (0.0, new Stopwatch(), 0.0);
        for (var swap = 1; swap <= swaps && !stop.IsCancellationRequested; swap++)
        {
            watch.Restart();
            swapping.Swap();
            total += watch.Elapsed.TotalMilliseconds;
            if (swap == 10)
                after10 = ResidentMb();
            if (swap is 10 or 100 or 300 || swap % 1000 == 0 || swap == swaps)
                output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{"",10}{swap,8} {ResidentMb(),12:F1} {ResidentMb() - after10,14:+0.0;-0.0;0.0} {total / swap,10:F3}"));
        }
        return 0;
    }

    private static double ResidentMb()
    {
        // What the garbage collector has not come to yet, or has not given back to the system, is no leak.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return Environment.WorkingSet / 1048576.0;
    }
}

/// <summary>How a version's dense weights change.</summary>
internal enum SwapWay
{
    Sessions,
    Bound,
    Kernel,
    Versions,
}
