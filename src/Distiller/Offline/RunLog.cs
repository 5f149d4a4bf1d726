using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Distiller.Offline;

/// <summary>Finished runs of comparisons, a line each: an interrupted comparison goes on, a repeated one is read.</summary>
public sealed class RunLog
{
    private static readonly JsonSerializerOptions OneLine = new(ContractJson.Options)
    {
        WriteIndented = false,
        NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    private readonly string path;
    private readonly Dictionary<string, StudentRun> known = [];

    public RunLog(string path)
    {
        this.path = path;
        if (!File.Exists(path))
            return;
        foreach (var line in File.ReadLines(path))
        {
            try
            {
                if (JsonSerializer.Deserialize<Entry>(line, OneLine) is { } entry)
                    known[entry.Key] = entry.Run;
            }
            catch (JsonException)
            {
                // The line that was being written when the process ended; its run is done again.
            }
        }
    }

    /// <summary>The key of a run: a hash of every text that has a say in it.</summary>
    public static string Key(params IEnumerable<string> texts) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', texts))))[..16];

    public StudentRun? Find(string key) => known.GetValueOrDefault(key);

    /// <exception cref="IOException">The disk refused.</exception>
    public void Add(string key, StudentRun run)
    {
        known[key] = run;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.AppendAllText(path, JsonSerializer.Serialize(new Entry(key, run), OneLine) + "\n");
    }

    private sealed record Entry(string Key, StudentRun Run);
}
