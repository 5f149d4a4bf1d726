using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.EndToEnd.Tests.Data;

public class DatasetReaderTests
{
    private const string Ratings = """
        {
          "name": "ratings",
          "csv": { "delimiter": ";" },
          "columns": [
            { "name": "who", "type": "int64" },
            { "name": "what", "type": "string" },
            { "name": "stars", "type": "float", "missing": ["?"], "default": "3" },
            { "name": "at", "type": "int64" }
          ],
          "time": { "column": "at", "unit": "s", "sort": true },
          "user": [{ "feature": "user", "column": "who" }],
          "item": [{ "feature": "title", "column": "what" }],
          "labels": [{ "target": "like", "column": "stars", "positive_from": 4 }],
          "impressions": { "group_by": ["who"], "max_size": 3, "gap_seconds": 100 },
          "split": { "preparation": { "files": ["r*.csv"], "to": 0.5 }, "replay": { "files": ["r*.csv"], "from": 0.5 } }
        }
        """;

    [Fact]
    public void Rows_become_impressions_by_group_gap_and_size()
    {
        using var dataset = new TemporaryDataset(Ratings);

        // Two files, out of order, a quoted separator, a missing value.
        dataset.Write("r1.csv", "at;who;what;stars\n1010;1;\"b;\"\"B\"\"\";5\n1000;1;a;2\n1001;2;x;4\n");
        dataset.Write("r2.csv", "stars;what;who;at\n4.5;c;1;1020\n?;d;1;1030\n3.5;e;1;2000\n");
        var reader = dataset.Open().WithSplit(new Dictionary<DatasetPart, SplitDescription> { [DatasetPart.Replay] = new() { Files = ["r*.csv"] } });

        var impressions = reader.Read(DatasetPart.Replay).ToList();

        Assert.Equal(["a,b;\"B\",c", "x", "d", "e"], impressions.Select(Titles));
        Assert.Equal([1_020_000, 1_020_000, 1_030_000, 2_000_000], impressions.Select(i => i.EventTimeMs));
        Assert.Equal(
            [(byte)LabelState.Negative, (byte)LabelState.Positive, (byte)LabelState.Positive],
            impressions[0].LabelStates("like").ToArray());
        Assert.Equal([(byte)LabelState.Negative], impressions[2].LabelStates("like").ToArray());
        Assert.Equal([1L], impressions[0].User[0].Ints.Value);
        Assert.All(impressions, i => Assert.All(i.Origin, o => Assert.Equal((byte)CandidateOrigin.Exposed, o)));
    }

    [Fact]
    public void Fractions_split_the_rows_without_loss_or_overlap()
    {
        using var dataset = new TemporaryDataset(Ratings);
        dataset.Write("r1.csv", "at;who;what;stars\n" + string.Concat(Enumerable.Range(0, 101).Select(n => $"{n};{n % 5};t{n};{n % 6}\n")));
        var reader = dataset.Open();
        var preparation = reader.Read(DatasetPart.Preparation).ToList();
        var replay = reader.Read(DatasetPart.Replay).ToList();

        Assert.Equal(50, preparation.Sum(i => i.CandidateCount));
        Assert.Equal(51, replay.Sum(i => i.CandidateCount));
        Assert.Equal(
            Enumerable.Range(0, 101).Select(n => $"t{n}").Order(),
            preparation.Concat(replay).SelectMany(i => i.Item[0].Strings.Value).Order());
        Assert.True(preparation.Max(i => i.EventTimeMs) <= replay.Min(i => i.EventTimeMs));
    }

    [Theory]
    [InlineData("at;who;what\n1;1;a\n", "has no column 'stars'")]
    [InlineData("at;who;what;stars\n1;1;a;5\n2;x;b;5\n", "line 3: 'who' is 'x', not an int64")]
    [InlineData("at;who;what;stars\n1;;a;5\n", "line 2: 'who' is missing")]
    [InlineData("at;who;what;stars\n1;1;a;NaN\n", "'stars' is 'NaN', not a finite float")]
    [InlineData("at;who;what;stars\n1;1;a\n", "line 2")]
    [InlineData("at;who;what;stars\n1;1;\"a;5\n", "")]
    public void Bad_rows_are_named(string text, string message)
    {
        using var dataset = new TemporaryDataset(Ratings);
        dataset.Write("r1.csv", text);
        var reader = dataset.Open().WithSplit(new Dictionary<DatasetPart, SplitDescription> { [DatasetPart.Replay] = new() { Files = ["r*.csv"] } });

        var error = Assert.Throws<DatasetException>(() => reader.Read(DatasetPart.Replay).ToList());
        Assert.Contains(Path.Combine(dataset.Folder, "r1.csv"), error.Message);
        Assert.Contains(message, error.Message);
    }

    [Fact]
    public void A_truncated_gzip_file_is_named()
    {
        using var dataset = new TemporaryDataset(Ratings.Replace("r*.csv", "r.csv.gz"));
        dataset.Write("r.csv.gz", "at;who;what;stars\n" + string.Concat(Enumerable.Range(0, 20_000).Select(n => $"{n};{n * 7919 % 1000};t{n};{n % 6}\n")));
        var path = Path.Combine(dataset.Folder, "r.csv.gz");
        File.WriteAllBytes(path, File.ReadAllBytes(path)[..20_000]);

        var error = Assert.Throws<DatasetException>(() => dataset.Open().Read(DatasetPart.Replay).ToList());
        Assert.Contains("r.csv.gz", error.Message);
    }

    [Fact]
    public void Missing_files_are_named_on_opening()
    {
        using var dataset = new TemporaryDataset(Ratings);
        var error = Assert.Throws<DatasetException>(dataset.Open);
        Assert.Contains("'r*.csv'", error.Message);
        Assert.Contains(dataset.Folder, error.Message);
    }

    [Fact]
    public void Unknown_folders_list_the_known_samples()
    {
        var error = Assert.Throws<DatasetException>(() => DatasetReader.Open("/nowhere/unheard-of", SampleCatalog.FindRoot()));
        Assert.Contains("frappe, globo, ml-latest-small, synthetic", error.Message);
    }

    [Theory]
    [InlineData("\"columns\"", "\"colums\"", "colums")]
    [InlineData("\"column\": \"what\"", "\"column\": \"wat\"", "'wat'")]
    [InlineData("\"to\": 0.5", "\"to\": 1.5", "from < to")]
    [InlineData("\"type\": \"string\"", "\"type\": \"text\"", "columns")]
    [InlineData("\"group_by\": [\"who\"]", "\"group_by\": []", "group_by")]
    public void Mistakes_in_the_description_are_named(string text, string mistake, string message)
    {
        using var dataset = new TemporaryDataset(Ratings.Replace(text, mistake));
        dataset.Write("r1.csv", "at;who;what;stars\n");
        var error = Assert.Throws<DatasetException>(dataset.Open);
        Assert.Contains(message, error.Message);
    }

    [Fact]
    public void Clicks_out_of_order_are_refused()
    {
        var rows = ClickLogFixture.Rows(100, seed: 1);
        (rows[80], rows[20]) = (rows[20], rows[80]);
        var error = Assert.Throws<DatasetException>(() => ClickLogFixture.Read(rows[..10], rows[10..]));
        Assert.Contains("event order", error.Message);
    }

    private static string Titles(Impression impression) => string.Join(",", impression.Item[0].Strings.Value);
}
