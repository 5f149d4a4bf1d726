using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>Sees every command that Redis carries out (<c>MONITOR</c>), and whether one of them was done for an epoch that was over.</summary>
/// <remarks>
/// Redis names a script before the commands the script runs, and runs nothing else between: each command that is marked <c>lua</c> belongs to
/// the script above it, whose first argument is its owner's epoch. Ends when the connection does. Properties may be read by any thread.
/// </remarks>
internal sealed partial class EpochWatch : IDisposable
{
    private static readonly string[] Writes = ["XADD", "XTRIM", "XDEL", "DEL", "SET", "HSET", "EXPIRE", "PEXPIRE"];

    private readonly TcpClient client = new() { NoDelay = true };
    private readonly HashSet<string> echoes = [];
    private readonly string epochKey;
    private readonly string ownerKey;
    private readonly string[] guarded;
    private readonly Lock gate = new();
    private readonly List<string> stale = [];
    private readonly Task reading;
    private long newest;
    private long refused;

    // Of the script whose commands come now; 0: none of ours.
    private long acting;
    private bool hasWritten;

    private EpochWatch(string model)
    {
        var keys = new StreamKeys(model);
        (epochKey, ownerKey) = ((string)keys.Epoch!, (string)keys.Owner!);
        guarded = [(string)keys.Journal!, (string)keys.Versions!, (string)keys.DeadLetters!];
        reading = Task.CompletedTask;
    }

    private EpochWatch(string model, int port) : this(model)
    {
        client.Connect(IPAddress.Loopback, port);
        client.GetStream().Write("MONITOR\r\n"u8);
        reading = Task.Run(ReadAsync);
    }

    /// <summary>The epoch that began last.</summary>
    public long Newest => Interlocked.Read(ref newest);

    /// <summary>Scripts of an epoch that was over, which Redis refused: an owner of before that tried.</summary>
    public long Refused => Interlocked.Read(ref refused);

    /// <summary>Commands carried out for an epoch that was over, or past the fence; empty when all is well.</summary>
    public IReadOnlyList<string> Stale
    {
        get
        {
            lock (gate)
                return [.. stale];
        }
    }

    /// <summary>Begins with the next command.</summary>
    /// <param name="port">Of Redis, past every proxy.</param>
    public static EpochWatch Start(string model, int port) => new(model, port);

    /// <summary>One that is told its lines.</summary>
    public static EpochWatch Of(string model, IEnumerable<string> lines)
    {
        var watch = new EpochWatch(model);
        foreach (var line in lines)
            watch.Note(line);
        watch.EndScript();
        return watch;
    }

    /// <summary>Waits until all that was done so far has been seen.</summary>
    public async Task SettleAsync(IDatabase redis, CancellationToken cancellation)
    {
        var word = Guid.NewGuid().ToString("N");
        await redis.ExecuteAsync("ECHO", word);
        while (!HasSeen(word) && !reading.IsCompleted)
            await Task.Delay(5, cancellation);
        lock (gate)
            EndScript();
    }

    public void Dispose() => client.Dispose();

    private bool HasSeen(string word)
    {
        lock (gate)
            return echoes.Contains(word);
    }

    private async Task ReadAsync()
    {
        try
        {
            using var reader = new StreamReader(client.GetStream(), Encoding.ASCII, false, 1 << 16);
            while (await reader.ReadLineAsync() is { } line)
            {
                lock (gate)
                    Note(line);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // The drill is over, or Redis.
        }
    }

    // +1795691795.967036 [0 127.0.0.1:33878] "EVAL" "local …" "2" "kd:m:epoch" … ; a script's own: [0 lua] "XADD" "kd:m:journal" …
    private void Note(string line)
    {
        var words = Word().Matches(line);
        if (words.Count < 2)
            return;
        var (command, first) = (Text(0).ToUpperInvariant(), Text(1));
        if (!line.Contains(" lua] \"", StringComparison.Ordinal))
        {
            EndScript();
            if (command == "ECHO")
                echoes.Add(first);
            else if (command == "EVAL" && int.TryParse(Text(2), CultureInfo.InvariantCulture, out var keys) && words.Count > 3 + keys && Text(3) == epochKey)
                acting = long.Parse(Text(3 + keys), CultureInfo.InvariantCulture);
            else if (Writes.Contains(command) && guarded.Contains(first))
                stale.Add($"{command} {first} past the fence");
            return;
        }
        if (first == epochKey && command == "INCR")
            newest++;
        else if (first == epochKey && command == "SET")
            newest = long.Parse(Text(2), CultureInfo.InvariantCulture);
        else if (Writes.Contains(command) && first != ownerKey)
        {
            hasWritten = true;
            if (acting < newest)
                stale.Add($"{command} {first} for epoch {acting} in epoch {newest}");
        }

        string Text(int word) => words[word].Groups[1].Value;
    }

    private void EndScript()
    {
        if (acting > 0 && acting < newest && !hasWritten)
            refused++;
        (acting, hasWritten) = (0, false);
    }

    [GeneratedRegex("""
        "((?:[^"\\]|\\.)*)"
        """)]
    private static partial Regex Word();
}
