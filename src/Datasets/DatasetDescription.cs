using System.Text.Json;
using System.Text.Json.Serialization;

namespace KdServing.Datasets;

/// <summary>The contents of <c>dataset.json</c>: everything the reader needs to know about a dataset of CSV files.</summary>
/// <remarks>Bring data of your own by writing this file beside it; unknown keys are refused, so that a misspelt option is noticed.</remarks>
public sealed record DatasetDescription
{
    public required string Name { get; init; }

    /// <summary>Free text for people: where the data is from, under which terms, what to know.</summary>
    public string? Notes { get; init; }

    public CsvFormat Csv { get; init; } = new();

    /// <summary>The columns to read; others of the files are skipped.</summary>
    public IReadOnlyList<ColumnDescription> Columns { get; init; } = [];

    /// <summary>Event time; absent: file order counts, one impression a <see cref="GroupingDescription.StepMs"/>.</summary>
    public TimeDescription? Time { get; init; }

    /// <summary>User and context features: one row an impression.</summary>
    public IReadOnlyList<FeatureSource> User { get; init; } = [];

    /// <summary>Item features: one row a candidate. The first one is the item's id.</summary>
    public IReadOnlyList<FeatureSource> Item { get; init; } = [];

    /// <summary>Explicit labels, for rows that say what was liked and what was not.</summary>
    public IReadOnlyList<LabelDescription> Labels { get; init; } = [];

    /// <summary>Teachers' outputs that stand in columns of the files, for rows with explicit labels.</summary>
    public IReadOnlyList<SoftLabelDescription> SoftLabels { get; init; } = [];

    /// <summary>How rows with explicit labels become impressions.</summary>
    public GroupingDescription? Impressions { get; init; }

    /// <summary>The rows are clicks only: negatives are sampled and running features derived.</summary>
    public ClickLogDescription? ClickLog { get; init; }

    /// <summary>No files at all: interactions with a known ground truth are generated.</summary>
    public SyntheticDescription? Synthetic { get; init; }

    /// <summary>Files of each part.</summary>
    public IReadOnlyDictionary<DatasetPart, SplitDescription> Split { get; init; } = new Dictionary<DatasetPart, SplitDescription>();

    [JsonIgnore]
    public bool IsSynthetic => Synthetic is not null;

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    /// <summary>Reads and checks a dataset.json.</summary>
    /// <exception cref="DatasetException">The file is not valid; the message names the key.</exception>
    public static DatasetDescription Load(string path)
    {
        try
        {
            var description = JsonSerializer.Deserialize<DatasetDescription>(File.ReadAllText(path), Json)
                ?? throw new DatasetException($"{path}: is empty.");
            description.Validate(path);
            return description;
        }
        catch (JsonException e)
        {
            throw new DatasetException($"{path}: {e.Message}", e);
        }
    }

    private void Validate(string path)
    {
        void Require(bool condition, string message)
        {
            if (!condition)
                throw new DatasetException($"{path}: {message}");
        }

        if (Synthetic is not null)
        {
            Require(Columns.Count == 0 && ClickLog is null && Impressions is null, "`synthetic` stands alone; remove `columns`, `click_log` and `impressions`.");
            Synthetic.Validate(Require);
            return;
        }

        Require(Columns.Count > 0, "`columns` is empty; list the columns to read.");
        var duplicate = Columns.GroupBy(c => c.Name).FirstOrDefault(g => g.Count() > 1);
        Require(duplicate is null, $"`columns` lists '{duplicate?.Key}' twice.");
        Require(Item.Count > 0, "`item` is empty; its first entry names the item id.");
        Require(Split.ContainsKey(DatasetPart.Replay), "`split.replay` is missing; name the files to replay.");
        foreach (var (part, split) in Split)
        {
            Require(split.Files.Count > 0, $"`split.{JsonNamingPolicy.SnakeCaseLower.ConvertName(part.ToString())}.files` is empty.");
            Require(split.From >= 0 && split.To <= 1 && split.From < split.To, $"`split` {part}: need 0 <= from < to <= 1.");
        }

        foreach (var source in User.Concat(Item))
            Require(Columns.Any(c => c.Name == source.Column), $"feature '{source.Feature}' reads column '{source.Column}', which `columns` does not list.");

        foreach (var soft in SoftLabels)
        {
            Require(Columns.Any(c => c.Name == soft.Column && c.Type == ColumnType.Float), $"soft label '{soft.Teacher}/{soft.Target}' reads column '{soft.Column}', which `columns` does not list as a float.");
            Require(Labels.Any(l => l.Target == soft.Target), $"soft label '{soft.Teacher}/{soft.Target}': `labels` has no target '{soft.Target}'.");
        }

        Require((ClickLog is null) != (Labels.Count == 0), "give either `labels` (explicit labels) or `click_log` (clicks only).");
        if (ClickLog is not null)
        {
            Require(Time is not null, "`click_log` needs `time`.");
            ClickLog.Validate(this, Require);
        }
        else
        {
            Require(Impressions is { GroupBy.Count: > 0 }, "`impressions.group_by` is missing; name the columns that make one impression.");
            Require(Impressions!.MaxSize > 0 && Impressions.WindowRows > 0, "`impressions`: max_size and window_rows must be positive.");
            foreach (var column in Impressions.GroupBy)
                Require(Columns.Any(c => c.Name == column), $"`impressions.group_by` names '{column}', which `columns` does not list.");
            foreach (var label in Labels)
                Require(Columns.Any(c => c.Name == label.Column && c.Type != ColumnType.String), $"label '{label.Target}' reads column '{label.Column}', which `columns` does not list as a number.");
        }

        if (Time is not null)
            Require(Columns.Any(c => c.Name == Time.Column && c.Type == ColumnType.Int64), $"`time.column` '{Time.Column}' must be listed in `columns` with type int64.");
    }
}

/// <summary>How the files are written.</summary>
public sealed record CsvFormat
{
    public char Delimiter { get; init; } = ',';

    public char Quote { get; init; } = '"';
}

/// <summary>What a field holds.</summary>
public enum ColumnType
{
    Int64,
    Float,
    String,
}

/// <summary>A column of the files.</summary>
/// <param name="Name">As in the header row.</param>
/// <param name="Type">How to read it.</param>
/// <param name="Missing">Texts that mean "not known"; the empty text always does.</param>
/// <param name="Default">Value used when missing; absent: a missing value is an error.</param>
public sealed record ColumnDescription(string Name, ColumnType Type, IReadOnlyList<string>? Missing = null, string? Default = null);

/// <summary>A feature of schema.json and the column it is read from.</summary>
public sealed record FeatureSource(string Feature, string Column);

/// <summary>Event time column and its unit, <c>ms</c> or <c>s</c> since the Unix epoch.</summary>
/// <param name="Column">An int64 column.</param>
/// <param name="Unit">Its unit.</param>
/// <param name="Sort">The rows are not in event order: read a part whole and sort it.</param>
public sealed record TimeDescription(string Column, TimeUnit Unit = TimeUnit.Ms, bool Sort = false)
{
    public long ToMs(long value) => Unit == TimeUnit.S ? value * 1000 : value;
}

/// <summary>Unit of an event time column.</summary>
public enum TimeUnit
{
    Ms,
    S,
}

/// <summary>A target whose label is positive when the column is at least <paramref name="PositiveFrom"/>.</summary>
public sealed record LabelDescription(string Target, string Column, double PositiveFrom);

/// <summary>A column that holds what a teacher said of the row; NaN where it said nothing.</summary>
/// <param name="Teacher">Its name; <c>kd</c> entries of distiller.json refer to TEACHER/TARGET.</param>
/// <param name="IsLogit">False: the column holds probabilities, which become logits.</param>
public sealed record SoftLabelDescription(string Teacher, string Target, string Column, bool IsLogit = true);

/// <summary>Rows with the same values of <see cref="GroupBy"/> make one impression.</summary>
public sealed record GroupingDescription
{
    public IReadOnlyList<string> GroupBy { get; init; } = [];

    /// <summary>An impression is closed at this many candidates; the next row of the group opens a new one.</summary>
    public int MaxSize { get; init; } = 50;

    /// <summary>With `time`: rows of a group further apart than this are different impressions.</summary>
    public int GapSeconds { get; init; } = 3600;

    /// <summary>An impression is closed when this many rows have passed since its first one; bounds the memory needed.</summary>
    public int WindowRows { get; init; } = 100_000;

    /// <summary>Without `time`: event time of the first impression, milliseconds since the Unix epoch.</summary>
    public long StartMs { get; init; } = 1_420_070_400_000;

    /// <summary>Without `time`: event time from one impression to the next.</summary>
    public long StepMs { get; init; } = 1000;
}

/// <summary>The files of one part, and which fraction of their rows.</summary>
public sealed record SplitDescription
{
    /// <summary>File names or patterns (<c>*</c>, <c>?</c>), read in name order within a pattern.</summary>
    public IReadOnlyList<string> Files { get; init; } = [];

    /// <summary>First row as a fraction of all rows of <see cref="Files"/>.</summary>
    public double From { get; init; }

    /// <summary>End row (exclusive) as a fraction of all rows of <see cref="Files"/>.</summary>
    public double To { get; init; } = 1;
}
