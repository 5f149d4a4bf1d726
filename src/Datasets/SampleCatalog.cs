namespace KdServing.Datasets;

/// <summary>The folder of samples: one folder a dataset with its dataset.json and schema.json.</summary>
public static class SampleCatalog
{
    public const string DescriptionFile = "dataset.json";

    /// <summary>Looks for a folder <c>samples</c> from the running program's folder and the current one upwards.</summary>
    /// <exception cref="DatasetException">There is none.</exception>
    public static string FindRoot()
    {
        foreach (var start in new[] { Environment.CurrentDirectory, AppContext.BaseDirectory })
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                var samples = Path.Combine(folder.FullName, "samples");
                if (Directory.Exists(samples) && Names(samples).Any())
                    return samples;
            }
        }

        throw new DatasetException($"No `samples` folder above {Environment.CurrentDirectory}; name it with --samples.");
    }

    /// <summary>Names of the datasets described under a samples folder.</summary>
    public static IEnumerable<string> Names(string samplesRoot) =>
        !Directory.Exists(samplesRoot)
            ? []
            : Directory.EnumerateDirectories(samplesRoot)
                .Where(d => File.Exists(Path.Combine(d, DescriptionFile)))
                .Select(d => Path.GetFileName(d))
                .Order(StringComparer.Ordinal);
}
