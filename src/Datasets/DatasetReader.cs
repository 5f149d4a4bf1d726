namespace KdServing.Datasets;

/// <summary>Reads a described dataset as impressions in event order. Every enumeration starts afresh and yields the same.</summary>
public sealed class DatasetReader
{
    private readonly string? _dataFolder;

    private DatasetReader(DatasetDescription description, string samplePath, string? dataFolder)
    {
        Description = description;
        SamplePath = samplePath;
        _dataFolder = dataFolder;
    }

    public DatasetDescription Description { get; }

    /// <summary>Folder that holds dataset.json, schema.json and the models' configurations.</summary>
    public string SamplePath { get; }

    public string Name => Description.Name;

    /// <summary>Whether the interactions are generated.</summary>
    public bool IsSynthetic => Description.IsSynthetic;

    /// <summary>
    /// Opens a data folder: described by a dataset.json inside it, or by the sample of the folder's name. A name alone opens a
    /// sample that needs no files (<c>synthetic</c>).
    /// </summary>
    /// <exception cref="DatasetException">No description is found, it is not valid, or files it names are missing.</exception>
    public static DatasetReader Open(string folderOrName, string samplesRoot)
    {
        var folder = Path.TrimEndingDirectorySeparator(folderOrName);
        var inside = Path.Combine(folder, SampleCatalog.DescriptionFile);
        var samplePath = File.Exists(inside) ? folder : Path.Combine(samplesRoot, Path.GetFileName(folder));
        var path = Path.Combine(samplePath, SampleCatalog.DescriptionFile);
        if (!File.Exists(path))
        {
            throw new DatasetException(
                $"'{folderOrName}' is no known dataset: it holds no {SampleCatalog.DescriptionFile} and no sample has its name "
                + $"(known: {string.Join(", ", SampleCatalog.Names(samplesRoot))}). Name a folder of one of these, or write a {SampleCatalog.DescriptionFile}.");
        }

        var description = DatasetDescription.Load(path);
        if (!description.IsSynthetic && !Directory.Exists(folder))
            throw new DatasetException($"Data folder '{folderOrName}' does not exist.");
        var reader = new DatasetReader(description, samplePath, description.IsSynthetic ? null : folder);
        foreach (var part in description.Split.Keys)
            reader.Files(part);
        return reader;
    }

    /// <summary>The same data with another split, e.g. other days to replay.</summary>
    public DatasetReader WithSplit(IReadOnlyDictionary<DatasetPart, SplitDescription> split) =>
        new(Description with { Split = split }, SamplePath, _dataFolder);

    /// <summary>The same data with other options for its clicks, e.g. another seed.</summary>
    public DatasetReader WithClickLog(ClickLogDescription log) =>
        new(Description with { ClickLog = log }, SamplePath, _dataFolder);

    /// <summary>Impressions of one part.</summary>
    /// <param name="part">Not <see cref="DatasetPart.WarmUp"/>, which yields nothing.</param>
    /// <param name="fromEventTimeMs">Earlier impressions are passed over (their clicks still count).</param>
    public IEnumerable<Impression> Read(DatasetPart part, long fromEventTimeMs = long.MinValue) => Read(part, part, fromEventTimeMs);

    /// <summary>Impressions of the parts from first to last; identical to reading them one by one, but the data is scanned once.</summary>
    public IEnumerable<Impression> Read(DatasetPart first, DatasetPart last, long fromEventTimeMs = long.MinValue)
    {
        var all = Description switch
        {
            { Synthetic: not null } => new SyntheticInteractions(Description.Synthetic).Generate(first, last),
            { ClickLog: not null } => ReadClicks(first, last, fromEventTimeMs),
            _ => ReadGroups(first, last),
        };
        return fromEventTimeMs == long.MinValue ? all : all.SkipWhile(i => i.EventTimeMs < fromEventTimeMs);
    }

    /// <summary>The typed rows of a part, in file order or sorted by time as described. One row object is reused unless sorted.</summary>
    public IEnumerable<CsvRow> Rows(DatasetPart part)
    {
        if (!Description.Split.TryGetValue(part, out var split))
            return [];
        var files = Files(part);
        var csv = new CsvRows(Description);
        var rows = csv.Read(files);
        if (Description.Time is { Sort: true } time)
        {
            var position = Description.Columns.Select((c, i) => (c, i)).First(x => x.c.Name == time.Column).i;
            var sorted = rows.Select(r => r.Copy()).OrderBy(r => r.Ints[position]).ToList();
            return sorted.Skip(Fraction(split.From, sorted.Count)).Take(Fraction(split.To, sorted.Count) - Fraction(split.From, sorted.Count));
        }

        if (split is { From: 0, To: 1 })
            return rows;
        var count = (int)csv.Count(files);
        return rows.Skip(Fraction(split.From, count)).Take(Fraction(split.To, count) - Fraction(split.From, count));
    }

    private static int Fraction(double of, int count) => (int)Math.Round(of * count);

    private IEnumerable<Impression> ReadGroups(DatasetPart first, DatasetPart last)
    {
        var groups = new GroupedImpressions(Description);
        for (var part = first; part <= last; part++)
        {
            foreach (var impression in groups.Group(Rows(part), part))
                yield return impression;
        }
    }

    private IEnumerable<Impression> ReadClicks(DatasetPart first, DatasetPart last, long fromEventTimeMs)
    {
        var columns = new ClickColumns(Description);
        var state = new ClickLogState(Description, columns);
        var impressions = new ClickLogImpressions(Description, state);
        var order = new EventOrder(Description.Name);
        for (var part = DatasetPart.WarmUp; part <= last; part++)
        {
            foreach (var row in Rows(part))
            {
                var click = columns.Read(row);
                order.Check(click.TimeMs);
                state.Advance(click.TimeMs);
                if (part >= first && part != DatasetPart.WarmUp && click.TimeMs >= fromEventTimeMs
                    && impressions.Make(click, row, part) is { } impression)
                {
                    yield return impression;
                }

                state.Observe(click, row);
            }
        }
    }

    private List<string> Files(DatasetPart part)
    {
        if (_dataFolder is null || !Description.Split.TryGetValue(part, out var split))
            return [];
        var files = new List<string>();
        foreach (var pattern in split.Files)
        {
            var found = Directory.GetFiles(_dataFolder, pattern).Order(StringComparer.Ordinal).ToList();
            if (found.Count == 0)
                throw new DatasetException($"Dataset '{Name}': '{pattern}' ({part}) is missing in {_dataFolder}.");
            files.AddRange(found);
        }

        return files;
    }
}
