using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;

namespace KdServing.Distiller.Offline;

/// <summary>Cross-fitted logits by the hash of everything they depend on; a changed file or setting is another entry.</summary>
public sealed class ScoreCache
{
    // Raise it when the same inputs would now give other logits.
    private const int Format = 1;

    private readonly string path;

    /// <param name="folder">Of all entries.</param>
    /// <param name="name">Of the dataset; part of the file's name.</param>
    /// <param name="settings">Texts of every setting that has a say.</param>
    /// <param name="records">All that is learned or scored, in order.</param>
    public ScoreCache(string folder, string name, IEnumerable<string> settings, IEnumerable<TeacherRecord> records)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Format}\n{string.Join('\n', settings)}\n")));
        var buffer = new MemoryStream();
        foreach (var record in records)
        {
            buffer.SetLength(0);
            using (var output = new Google.Protobuf.CodedOutputStream(buffer, leaveOpen: true) { Deterministic = true })
                record.WriteTo(output);
            hash.AppendData(buffer.GetBuffer().AsSpan(0, (int)buffer.Length));
        }
        Key = Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
        path = Path.Combine(folder, $"{name}-{Key}.safetensors");
    }

    /// <summary>16 hexadecimal digits.</summary>
    public string Key { get; }

    /// <summary>The logits by set and target; null when there are none, or the file is damaged, which it says.</summary>
    public Dictionary<string, float[][]>? TryLoad(int targets)
    {
        if (!File.Exists(path))
            return null;
        try
        {
            using var file = new SafetensorsFile(path);
            return file.Names.Select(n => n[..n.LastIndexOf('.')]).Distinct().ToDictionary(name => name,
                name => Enumerable.Range(0, targets).Select(t => file.Read($"{name}.{t}", file.Shape($"{name}.{t}").ToArray())).ToArray());
        }
        catch (Exception e) when (e is ContractException or IOException)
        {
            DistillerLog.Warn($"the cached logits in {path} are of no use ({e.Message}); the teacher is trained anew");
            return null;
        }
    }

    /// <exception cref="IOException">The disk refused.</exception>
    public void Save(Dictionary<string, float[][]> logits)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var writer = new SafetensorsWriter();
        foreach (var (name, targets) in logits)
        {
            for (var t = 0; t < targets.Length; t++)
                writer.Add($"{name}.{t}", [targets[t].Length], targets[t]);
        }
        DurableFile.Replace(path, writer.Write);
    }
}
