using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using KdServing.Contracts;

namespace KdServing.LoadTests.Chaos;

/// <summary><c>--only external-data</c>: versions whose graphs reach outside or ask for too much, with a manifest that vouches for them.</summary>
/// <remarks>
/// A publisher gone bad, not a bad disk: sizes and hashes fit. The kernel counts opens of a file outside that the graphs point at, by absolute and
/// relative paths, a symbolic and a hard link.
/// </remarks>
internal static partial class MaliciousDrill
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        await using var drill = await RefusalDrill.StartAsync(options, cancellation);
        var outside = Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(drill.Repository.Root)!, "outside")).FullName;
        var canary = Path.Combine(outside, "canary.bin");
        await File.WriteAllBytesAsync(canary, new byte[1024], cancellation);
        var good = await File.ReadAllBytesAsync(Path.Combine(drill.Source(isBase: true), StudentSignature.HeadFile), cancellation);
        var external = MaliciousGraphs.ExternalData(good, canary).ToList();
        var bombs = MaliciousGraphs.Bombs(good).ToList();
        using var opens = new FileOpens(outside, canary);

        var opened = 0;
        foreach (var (name, file) in external.Concat(bombs).Take(count))
        {
            // The link's own making must not count: it does not open the canary.
            await drill.OfferAsync([target => Vouched(drill, target, name, file, canary)], cancellation);
            if (opens.Take() is > 0 and var times)
            {
                opened += times;
                drill.Broken.Add($"the file outside was opened {times} times: {name}");
            }
            // ONNX Runtime begins its errors so: it has seen the file.
            if (drill.LastReason.Contains("[ErrorCode:", StringComparison.Ordinal))
                drill.Broken.Add($"ONNX Runtime was asked to open it: {name}: {drill.LastReason}");
            if (drill.Broken.Count > 10)
                break;
        }
        // The watch works: this one open is seen.
        await File.ReadAllBytesAsync(canary, cancellation);
        if (opens.Take() == 0)
            drill.Broken.Add("the watch on the file outside sees nothing");
        await drill.RequireAliveAsync();
        if (drill.Slowest > Limit)
            drill.Broken.Add($"a refusal took {drill.Slowest.TotalSeconds:F1} s; {Limit.TotalSeconds:F0} s are allowed");
        return new()
        {
            Seed = options.Seed,
            Only = options.Only,
            Versions = new(2, 0, drill.Refused),
            Figures = new Dictionary<string, double>
            {
                ["external_data"] = Math.Min(count, external.Count),
                ["bombs"] = Math.Max(0, Math.Min(count - external.Count, bombs.Count)),
                ["opened_outside"] = opened,
                ["loaded"] = drill.Loaded,
                ["slowest_refusal_ms"] = Math.Round(drill.Slowest.TotalMilliseconds),
            },
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
            Broken = drill.Broken,
        };
    }

    private static string Vouched(RefusalDrill drill, string target, string name, byte[] head, string canary)
    {
        var hidden = Path.Combine(Path.GetDirectoryName(target)!, $".bad-{Path.GetFileName(target)}");
        Directory.CreateDirectory(hidden);
        var source = drill.Source(isBase: true);
        foreach (var file in Directory.GetFiles(source))
            File.Copy(file, Path.Combine(hidden, Path.GetFileName(file)));
        File.WriteAllBytes(Path.Combine(hidden, StudentSignature.HeadFile), head);
        if (name.Contains("'link", StringComparison.Ordinal) || name.Contains("./link", StringComparison.Ordinal))
            File.CreateSymbolicLink(Path.Combine(hidden, "link"), canary);
        if (name.Contains("hardlink", StringComparison.Ordinal) && HardLink(canary, Path.Combine(hidden, "hardlink")) != 0)
            throw new IOException($"no hard link to {canary}");
        var version = long.Parse(Path.GetFileName(target), CultureInfo.InvariantCulture);
        var manifest = VersionManifest.Parse(File.ReadAllBytes(Path.Combine(source, VersionManifest.FileName)));
        var files = manifest.Files.ToDictionary();
        files[StudentSignature.HeadFile] = new(head.Length, Convert.ToHexStringLower(SHA256.HashData(head)));
        File.WriteAllBytes(Path.Combine(hidden, VersionManifest.FileName), (manifest with { Version = version, BaseVersion = version, Files = files }).ToBytes());
        Directory.Move(hidden, target);
        return name;
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int HardLink(string existing, string path);
}
