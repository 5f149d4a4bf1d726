using System.Diagnostics;
using System.Globalization;
using KdServing.Contracts;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>
/// <c>--only publish-crash</c>: a publication is killed at each of its system calls in turn, and each of them is made to fail; a version must be
/// visible whole or not at all, and the next publication must succeed.
/// </summary>
/// <remarks>
/// <c>strace</c> lists the calls that touch the model's folder, then injects: <c>signal=SIGKILL</c> kills at the entry of the n-th call
/// of a name, <c>error=…</c> makes it fail. The child publishes on its main thread, so the calls come in the same order every time.
/// </remarks>
internal static class PublishCrashDrill
{
    /// <summary>Number of the version the child publishes.</summary>
    public const long Published = 3;

    /// <summary>The child removes the versions before this one.</summary>
    public const long Kept = 2;

    private static readonly string[] Errors = ["EIO", "ENOSPC"];

    // What a disk can refuse; a lookup or a close that "fails" is no state a disk can bring about.
    private static readonly string[] Refusable = ["openat", "open", "mkdir", "write", "pwrite64", "fsync", "rename", "renameat2", "ftruncate", "fallocate", "unlink", "rmdir"];

    /// <param name="count">Crash points at most; they are spread evenly.</param>
    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        using var folder = new DemoFolder(options.Folder);
        var student = ChaosStudent.Prepare(options.Data, Path.Combine(folder.Root, "config"), options.Seed);
        var prepared = new ModelRepository(Path.Combine(folder.Root, "prepared"));
        SampleVersions.Publish(prepared, student);
        var run = new Run(folder, student.Model, prepared);
        var calls = await run.CallsAsync(cancellation);
        if (calls.Count == 0)
            throw new DemoException("no system call of the publication was seen; is strace allowed to trace here?");
        var points = calls.Select(c => (c.Name, c.Number, Inject: "signal=SIGKILL"))
            .Concat(calls.Where(c => Refusable.Contains(c.Name)).SelectMany(c => Errors.Select(e => (c.Name, c.Number, Inject: $"error={e}")))).ToList();
        if (points.Count > count)
            points = [.. Enumerable.Range(0, count).Select(i => points[(int)((long)i * points.Count / count)])];
        options.Say($"{clock.Elapsed:mm\\:ss} {calls.Count} system calls touch the model's folder; {points.Count} crash points");

        var (broken, killed, refused) = (new List<string>(), 0, 0);
        for (var n = 0; n < points.Count; n++)
        {
            var (name, number, inject) = points[n];
            run.Reset();
            var exit = await run.PublishAsync($"{name}:{inject}:when={number}", cancellation);
            killed += exit is 137 or -9 ? 1 : 0;
            refused += exit == 1 ? 1 : 0;
            var what = $"{inject} at {name} {number} (exit {exit})";
            broken.AddRange(run.Faults().Select(f => $"{what}: {f}"));
            // Whoever comes next cleans up and publishes.
            if (!run.IsPublished && await run.PublishAsync(null, cancellation) is not 0 and var again)
                broken.Add($"{what}: the next publication failed with exit code {again}");
            broken.AddRange(run.Faults().Select(f => $"{what}, published again: {f}"));
            if (!run.IsPublished)
                broken.Add($"{what}: the next publication is not there");
            if ((n + 1) % 50 == 0 || n + 1 == points.Count)
                options.Say($"{clock.Elapsed:mm\\:ss} {n + 1} of {points.Count}: {killed} killed, {refused} refused by the disk, {broken.Count} broken");
        }
        return new()
        {
            Seed = options.Seed,
            Only = options.Only,
            Versions = new(points.Count, broken.Count, 0),
            Figures = new Dictionary<string, double> { ["system_calls"] = calls.Count, ["crash_points"] = points.Count, ["killed"] = killed, ["refused_by_disk"] = refused },
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
            Broken = broken,
        };
    }

    private sealed class Run(DemoFolder folder, string model, ModelRepository prepared)
    {
        private readonly ModelRepository repository = new(folder.Repository);
        private readonly string trace = Path.Combine(folder.Root, "strace.log");

        private string Model => Path.Combine(repository.Root, model);

        public bool IsPublished => repository.Versions(model).Contains(Published);

        /// <summary>The folder as it was before: versions 1 and 2.</summary>
        public void Reset()
        {
            Directory.Delete(repository.Root, recursive: true);
            foreach (var version in prepared.Versions(model))
            {
                Directory.CreateDirectory(repository.Folder(model, version));
                foreach (var file in Directory.GetFiles(prepared.Folder(model, version)))
                    File.Copy(file, Path.Combine(repository.Folder(model, version), Path.GetFileName(file)));
            }
        }

        /// <summary>The calls of an undisturbed publication, each with its number among those of its name.</summary>
        public async Task<List<(string Name, int Number)>> CallsAsync(CancellationToken cancellation)
        {
            Reset();
            if (await PublishAsync("", cancellation) is not 0 and var exit)
                throw new DemoException($"the publication under strace failed with exit code {exit}; is strace installed (apt-get install strace)?");
            var seen = new Dictionary<string, int>();
            var calls = new List<(string, int)>();
            foreach (var line in File.ReadLines(trace))
            {
                // 1234 openat(AT_FDCWD, "…", …) = 3
                var call = line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..].TrimStart();
                if (call.IndexOf('(', StringComparison.Ordinal) is not (> 0 and var end) || !call[..end].All(c => char.IsAsciiLetterOrDigit(c) || c == '_'))
                    continue;
                var name = call[..end];
                calls.Add((name, seen[name] = seen.GetValueOrDefault(name) + 1));
            }
            return calls;
        }

        /// <summary>One publication by a child.</summary>
        /// <param name="inject">strace's expression; empty: only trace; null: without strace.</param>
        public async Task<int> PublishAsync(string? inject, CancellationToken cancellation)
        {
            string[] child = ["dotnet", Installation.LoadTests, "chaos", "publish-child", repository.Root, model, prepared.Folder(model, 1)];
            string[] words = inject is null ? child
                : ["strace", "-f", "-qq", "-o", trace, .. Paths().SelectMany(p => (string[])["-P", p]), "-e", "signal=none", .. inject.Length == 0 ? (string[])[] : ["-e", $"inject={inject}"], .. child];
            var start = new ProcessStartInfo(words[0], words[1..]) { RedirectStandardError = true, RedirectStandardOutput = true };
            try
            {
                using var process = Process.Start(start)!;
                await process.StandardError.ReadToEndAsync(cancellation);
                await process.WaitForExitAsync(cancellation);
                return process.ExitCode;
            }
            catch (System.ComponentModel.Win32Exception)
            {
                throw new DemoException("strace is not installed; apt-get install strace");
            }
        }

        /// <summary>What a server must never see.</summary>
        public IEnumerable<string> Faults()
        {
            var versions = repository.Versions(model);
            if (!versions.Contains(Kept))
                yield return $"version {Kept} is gone";
            foreach (var version in versions)
            {
                string? fault = null;
                try
                {
                    RepositoryWatch.RequireWhole(repository, model, version);
                }
                catch (ContractException e)
                {
                    fault = $"version {version} is visible in part: {e.Message}";
                }
                if (fault is not null)
                    yield return fault;
            }
        }

        // strace matches whole paths: the folders and files that a publication can touch.
        private IEnumerable<string> Paths()
        {
            var files = Directory.GetFiles(prepared.Folder(model, 1)).Select(Path.GetFileName).ToArray();
            string[] folders = [Published.ToString(CultureInfo.InvariantCulture), $".staging-{Published}", $".removed-.staging-{Published}", "1", ".removed-1", "2"];
            return [repository.Root, Model, .. folders.SelectMany(f => (string[])[Path.Combine(Model, f), .. files.Select(n => Path.Combine(Model, f, n!))])];
        }
    }
}
