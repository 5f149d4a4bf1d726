using KdServing.Contracts;

namespace KdServing.LoadTests.Chaos;

/// <summary>Copies of a good version with one thing wrong in one file, as a bad disk, a cut transfer or a mix-up leaves them.</summary>
internal static class Mutation
{
    /// <summary>Kinds of damage, in turn.</summary>
    public static readonly IReadOnlyList<string> Kinds =
        ["bit flip", "byte set", "truncation", "file emptied", "bytes appended", "block zeroed", "files swapped", "file missing", "block moved"];

    /// <summary>Copies a version under another number into a hidden folder and damages it there, then gives it its name.</summary>
    /// <param name="source">Folder of a whole version.</param>
    /// <param name="target">Folder the mutant appears as.</param>
    /// <returns>What was done, in words.</returns>
    public static string Make(string source, string target, Random random, int kind)
    {
        var hidden = Path.Combine(Path.GetDirectoryName(target)!, $".mutant-{Path.GetFileName(target)}");
        Directory.CreateDirectory(hidden);
        foreach (var file in Directory.GetFiles(source))
            File.Copy(file, Path.Combine(hidden, Path.GetFileName(file)), overwrite: true);
        Renumber(hidden, long.Parse(Path.GetFileName(target), System.Globalization.CultureInfo.InvariantCulture));
        // What the server reads; ranker.onnx is for others.
        var files = Directory.GetFiles(hidden).Where(f => Path.GetFileName(f) != StudentSignature.RankerFile).Order(StringComparer.Ordinal).ToArray();
        var done = Damage(files, random, Kinds[kind % Kinds.Count]);
        Directory.Move(hidden, target);
        return done;
    }

    // The mutant's manifest is its own, so that the damage is all that is wrong with it.
    private static void Renumber(string folder, long version)
    {
        var path = Path.Combine(folder, VersionManifest.FileName);
        var manifest = VersionManifest.Parse(File.ReadAllBytes(path));
        File.WriteAllBytes(path, (manifest with
        {
            Version = version,
            BaseVersion = manifest.Kind == VersionKind.Base ? version : manifest.BaseVersion,
        }).ToBytes());
    }

    private static string Damage(string[] files, Random random, string kind)
    {
        var file = files[random.Next(files.Length)];
        var other = files[(Array.IndexOf(files, file) + 1 + random.Next(files.Length - 1)) % files.Length];
        var bytes = File.ReadAllBytes(file);
        var at = random.Next(bytes.Length);
        switch (kind)
        {
            case "bit flip":
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            case "byte set":
                bytes[at] = (byte)(bytes[at] + random.Next(1, 256));
                break;
            case "truncation":
                bytes = bytes[..at];
                break;
            case "file emptied":
                bytes = [];
                break;
            case "bytes appended":
                var more = new byte[random.Next(1, 65)];
                random.NextBytes(more);
                bytes = [.. bytes, .. more];
                break;
            case "block zeroed":
                var block = bytes.AsSpan(at, Math.Min(random.Next(1, 513), bytes.Length - at));
                // A block of zeros would be no damage.
                block[0] = block[0] == 0 ? (byte)1 : (byte)0;
                block[1..].Clear();
                break;
            case "files swapped":
                var theirs = File.ReadAllBytes(other);
                File.WriteAllBytes(other, bytes);
                bytes = theirs;
                break;
            case "file missing":
                File.Delete(file);
                return $"{Path.GetFileName(file)}: missing";
            default:
                var half = bytes.Length / 2;
                bytes = [.. bytes[half..], .. bytes[..half]];
                // Two equal halves would be no damage.
                bytes[0] ^= 1;
                break;
        }
        File.WriteAllBytes(file, bytes);
        return $"{Path.GetFileName(file)}: {kind} at {at}";
    }
}
