using System.IO.Compression;
using System.Text;
using KdServing.Datasets;

namespace KdServing.EndToEnd.Tests.Data;

/// <summary>A data folder with a dataset.json of its own, deleted at the end of the test.</summary>
internal sealed class TemporaryDataset : IDisposable
{
    public TemporaryDataset(string description)
    {
        Folder = Directory.CreateTempSubdirectory("kd-data-").FullName;
        File.WriteAllText(Path.Combine(Folder, SampleCatalog.DescriptionFile), description);
    }

    public string Folder { get; }

    public void Write(string file, string text)
    {
        var path = Path.Combine(Folder, file);
        if (!file.EndsWith(".gz", StringComparison.Ordinal))
        {
            File.WriteAllText(path, text);
            return;
        }

        using var gzip = new GZipStream(File.Create(path), CompressionLevel.Fastest);
        gzip.Write(Encoding.UTF8.GetBytes(text));
    }

    public DatasetReader Open() => DatasetReader.Open(Folder, Path.Combine(Folder, "no-samples"));

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
