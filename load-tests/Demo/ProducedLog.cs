using KdServing.Contracts;

namespace KdServing.LoadTests.Demo;

/// <summary>The teacher's own list of what it wrote: one stream id a line. Counted apart from what the Distiller says it read.</summary>
internal static class ProducedLog
{
    public static IReadOnlyList<StreamId> Read(string path)
    {
        if (!File.Exists(path))
            return [];
        var ids = new List<StreamId>();
        foreach (var line in File.ReadLines(path))
        {
            // The last line of a killed teacher may be cut short.
            if (line.Contains('-', StringComparison.Ordinal) && line[^1] != '-')
                ids.Add(StreamId.Parse(line));
        }
        return ids;
    }
}
