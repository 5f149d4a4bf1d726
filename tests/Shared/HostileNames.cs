namespace KdServing.Tests;

/// <summary>Names that try to leave their folder, break a key or hide in a log: none of them is a name of ours.</summary>
public static class HostileNames
{
    /// <summary>More than 500, each once.</summary>
    public static IReadOnlyList<string> All { get; } = [.. Make().Distinct(StringComparer.Ordinal)];

    private static IEnumerable<string> Make()
    {
        string[] dots = ["..", "%2e%2e", "%252e%252e", "..%00", ".%2e", "%c0%ae%c0%ae", "%uff0e%uff0e", "\u2025", "\uff0e\uff0e", "....", ".. ", "..;", ". ."];
        string[] slashes = ["/", "\\", "%2f", "%5c", "%252f", "%c0%af", "%c1%9c", "//", "\\/", "\u2215", "\u2044", "\uff0f"];
        string[] targets = ["etc/passwd", "model", "1/manifest.json", ""];
        foreach (var dot in dots)
        {
            foreach (var slash in slashes)
            {
                foreach (var target in targets)
                    yield return dot + slash + target;
            }
        }
        foreach (var depth in Enumerable.Range(1, 12))
            yield return string.Concat(Enumerable.Repeat("../", depth)) + "etc/passwd";
        foreach (var scheme in (string[])["file:///", "http://127.0.0.1/", "\\\\server\\share\\", "C:\\", "/", "//", "~/", "/proc/self/", "/dev/shm/"])
        {
            foreach (var target in targets)
                yield return scheme + target;
        }
        // One character that does not belong, before, inside and after.
        foreach (var c in "\0\t\n\r\u001b\u007f !\"#$%&'()*+,./:;<=>?@[\\]^`{|}~ABZ\u0130\u00e9\u200b\u202e\ufeff\uff41\u0430")
        {
            yield return $"{c}model";
            yield return $"mo{c}del";
            yield return $"model{c}";
            yield return $"{c}";
        }
        foreach (var length in (int[])[65, 66, 255, 256, 4096, 100_000])
            yield return new('a', length);
        yield return "";
        yield return "model\ud800";
    }
}
