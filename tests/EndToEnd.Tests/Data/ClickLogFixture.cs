using System.Text;
using KdServing.Datasets;

namespace KdServing.EndToEnd.Tests.Data;

/// <summary>A made-up click log: a few hundred items of very different popularity, sessions of several clicks.</summary>
internal static class ClickLogFixture
{
    public const long StartMs = 1_507_000_000_000;

    public const string Header = "user_id,session_id,session_size,article,time,region\n";

    public static string Description(string options = "") => $$"""
        {
          "name": "clicks",
          "columns": [
            { "name": "user_id", "type": "int64" },
            { "name": "session_id", "type": "int64" },
            { "name": "article", "type": "int64" },
            { "name": "time", "type": "int64" },
            { "name": "region", "type": "int64" }
          ],
          "time": { "column": "time" },
          "user": [{ "feature": "user", "column": "user_id" }, { "feature": "region", "column": "region" }],
          "item": [{ "feature": "article", "column": "article" }],
          "click_log": { "user_column": "user_id", "session_column": "session_id", "negatives": 10, "bucket_size": 16, "segments": ["region"]{{options}} },
          "split": { "warm_up": { "files": ["day-1.csv"] }, "replay": { "files": ["day-2.csv.gz"] } }
        }
        """;

    public sealed record Row(long User, long Session, int SessionSize, long Article, long TimeMs, long Region)
    {
        public override string ToString() => $"{User},{Session},{SessionSize},{Article},{TimeMs},{Region}";
    }

    public static List<Row> Rows(int count, ulong seed)
    {
        var random = new SplitMix64(seed);
        var rows = new List<Row>();
        var timeMs = StartMs;
        for (var n = 0; n < count; n++)
        {
            timeMs += random.Next(8000);
            var user = random.Next(40);
            var article = (long)(300 * Math.Pow(random.NextDouble(), 3));
            rows.Add(new Row(user, (user * 1000) + (n / 200), random.Next(9), article, timeMs, 1 + (user % 3)));
        }

        return rows;
    }

    public static string Csv(IEnumerable<Row> rows)
    {
        var text = new StringBuilder(Header);
        foreach (var row in rows)
            text.Append(row).Append('\n');
        return text.ToString();
    }

    public static List<Impression> Read(IReadOnlyList<Row> warmUp, IReadOnlyList<Row> replay, string options = "")
    {
        using var dataset = new TemporaryDataset(Description(options));
        dataset.Write("day-1.csv", Csv(warmUp));
        dataset.Write("day-2.csv.gz", Csv(replay));
        return [.. dataset.Open().Read(DatasetPart.Replay)];
    }
}
