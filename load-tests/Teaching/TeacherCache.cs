using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Teachers;

namespace KdServing.LoadTests.Teaching;

/// <summary>Prepared teachers by the hash of everything they depend on: a changed file or setting is another teacher.</summary>
public sealed class TeacherCache
{
    // Raise it when the same inputs would now give another teacher.
    private const int Format = 1;

    private readonly string weights;
    private readonly string report;

    /// <param name="folder">Of all teachers.</param>
    /// <param name="dataFolder">Where the dataset's files lie.</param>
    public TeacherCache(string folder, DatasetReader reader, string dataFolder, Teacher teacher, ulong seed, double budgetSeconds)
    {
        Key = Hash(reader, dataFolder, teacher, seed, budgetSeconds);
        var own = Path.Combine(folder, $"{reader.Name}-{Key}");
        weights = Path.Combine(own, "teacher.safetensors");
        report = Path.Combine(own, "teacher.json");
    }

    /// <summary>16 hexadecimal digits.</summary>
    public string Key { get; }

    /// <summary>Fills the teacher from the cache; null when it holds no such teacher, or a damaged one, which it says.</summary>
    public PreparationReport? TryLoad(Teacher teacher)
    {
        // Written last: without it the weights may be those of an interrupted run.
        if (!File.Exists(report))
            return null;
        try
        {
            TeacherCheckpoint.Load(teacher, weights);
            return JsonSerializer.Deserialize<PreparationReport>(File.ReadAllBytes(report), ContractJson.Options);
        }
        catch (Exception e) when (e is ContractException or JsonException or IOException)
        {
            Console.Error.WriteLine($"kd teach: the cached teacher in {Path.GetDirectoryName(weights)} is of no use ({e.Message}); preparing it anew");
            return null;
        }
    }

    public void Save(Teacher teacher, PreparationReport prepared)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(weights)!);
        TeacherCheckpoint.Save(teacher, weights);
        var temporary = report + ".tmp";
        File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(prepared, ContractJson.Options));
        File.Move(temporary, report, overwrite: true);
    }

    private static string Hash(DatasetReader reader, string dataFolder, Teacher teacher, ulong seed, double budgetSeconds)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Text($"{Format}|{seed}|{budgetSeconds}|{teacher.Schema.Fingerprint:x16}");
        Text($"{JsonSerializer.Serialize(teacher.Config, ContractJson.Options)}");
        Text($"{File.ReadAllText(Path.Combine(reader.SamplePath, SampleCatalog.DescriptionFile))}");
        foreach (var part in new[] { DatasetPart.WarmUp, DatasetPart.Preparation })
        {
            if (reader.IsSynthetic || !reader.Description.Split.TryGetValue(part, out var split))
                continue;
            foreach (var file in split.Files.SelectMany(pattern => Directory.GetFiles(dataFolder, pattern).Order(StringComparer.Ordinal)))
            {
                Text($"{part}|{Path.GetFileName(file)}");
                using var stream = File.OpenRead(file);
                hash.AppendData(SHA256.HashData(stream));
            }
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];

        void Text(FormattableString text) => hash.AppendData(Encoding.UTF8.GetBytes(text.ToString(CultureInfo.InvariantCulture) + "\n"));
    }
}
