using KdServing.Contracts;

namespace KdServing.LoadTests.Teaching;

/// <summary><c>--produced-log</c>: the stream ids of the records written, one a line, so that others can count and time them on their own.</summary>
public sealed class ProducedLogFile : IDisposable
{
    private readonly StreamWriter? writer;

    /// <param name="path">Appended to; null: no file.</param>
    public ProducedLogFile(string? path)
    {
        if (path is null)
            return;
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        writer = new(path, append: true);
        // A killed predecessor may have left half a line.
        if (writer.BaseStream.Length > 0)
            writer.WriteLine();
    }

    public void Add(StreamId id) => writer?.WriteLine(id.ToString());

    public void Flush() => writer?.Flush();

    public void Dispose() => writer?.Dispose();
}
