using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.LoadTests.Demo;

/// <summary>The data a demo replays and the configurations beside its description.</summary>
internal sealed class DemoDataset
{
    private DemoDataset(DatasetReader reader, string argument)
    {
        Reader = reader;
        Argument = argument;
        Schema = FeatureSchema.Load(File("schema.json"));
        DistillerConfig = File("distiller.json");
    }

    public DatasetReader Reader { get; }

    /// <summary>What names this data to the other processes.</summary>
    public string Argument { get; }

    public FeatureSchema Schema { get; }

    public string DistillerConfig { get; }

    public string Name => Reader.Name;

    public bool IsSynthetic => Reader.IsSynthetic;

    /// <exception cref="DatasetException">Unknown folder, or files it should hold are missing.</exception>
    public static DemoDataset Open(string? folder) =>
        new(DatasetReader.Open(folder ?? "synthetic", Installation.Samples), folder is null ? "synthetic" : Path.GetFullPath(folder));

    public string File(string name)
    {
        var path = Path.Combine(Reader.SamplePath, name);
        return System.IO.File.Exists(path) ? path : throw new DatasetException($"sample '{Name}' lacks {name}");
    }
}
