using System.Globalization;
using System.Text;
using KdServing.Contracts;

namespace KdServing.LoadTests.Chaos;

/// <summary>Reads what Redis 7 has written to its append-only file: an account of the streams that no part of KdServing keeps.</summary>
/// <remarks>
/// Trimming a stream does not take entries out of the file as long as it is not rewritten, so every entry ever added is here, in order,
/// with the id it got. Format: the commands as RESP arrays (<c>*N</c>, then <c>$LENGTH</c> and the bytes of each word);
/// lines that begin with <c>#</c> are remarks. A command cut short by a kill ends the file: Redis drops it when it starts.
/// Source: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/.
/// </remarks>
internal static class AppendOnlyFile
{
    /// <summary>Every stream entry added, in the order of the file.</summary>
    /// <param name="redisFolder">The server's <c>--dir</c>.</param>
    public static IEnumerable<AofEntry> Entries(string redisFolder)
    {
        foreach (var file in Directory.GetFiles(Path.Combine(redisFolder, "appendonlydir"), "*.incr.aof").OrderBy(Number))
        {
            using var stream = new BufferedStream(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite), 1 << 20);
            while (Command(stream) is { } words)
            {
                if (Entry(words) is { } entry)
                    yield return entry;
            }
        }
    }

    // appendonly.aof.3.incr.aof
    private static int Number(string path) => int.Parse(Path.GetFileName(path).Split('.')[^3], CultureInfo.InvariantCulture);

    private static AofEntry? Entry(List<byte[]> words)
    {
        if (words.Count < 5 || !Text(words[0]).Equals("XADD", StringComparison.OrdinalIgnoreCase))
            return null;
        // XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] N [LIMIT N]] id field value ...; the id is the first word that looks like one.
        for (var i = 2; i < words.Count; i++)
        {
            var word = Text(words[i]);
            if (word.Contains('-', StringComparison.Ordinal) && char.IsAsciiDigit(word[0]))
                return new(Text(words[1]), StreamId.Parse(word), words[(i + 1)..]);
        }
        return null;
    }

    private static List<byte[]>? Command(Stream stream)
    {
        string? head;
        do
            head = Line(stream);
        while (head?.StartsWith('#') == true);
        if (head is null || head.Length == 0 || head[0] != '*')
            return null;
        var words = new List<byte[]>();
        for (var left = int.Parse(head.AsSpan(1), CultureInfo.InvariantCulture); left > 0; left--)
        {
            if (Line(stream) is not ['$', .. var length])
                return null;
            var word = new byte[int.Parse(length, CultureInfo.InvariantCulture)];
            if (stream.ReadAtLeast(word, word.Length, throwOnEndOfStream: false) < word.Length || Line(stream) is null)
                return null;
            words.Add(word);
        }
        return words;
    }

    // Up to CR LF; null when the file ends before.
    private static string? Line(Stream stream)
    {
        var line = new StringBuilder();
        for (var b = stream.ReadByte(); b >= 0; b = stream.ReadByte())
        {
            if (b == '\n')
                return line.ToString().TrimEnd('\r');
            line.Append((char)b);
        }
        return null;
    }

    private static string Text(byte[] word) => Encoding.UTF8.GetString(word);
}
