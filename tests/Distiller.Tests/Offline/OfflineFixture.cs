using System.Globalization;
using System.Text;

namespace KdServing.Distiller.Tests.Offline;

/// <summary>A small dataset of files with its sample beside it: users who like items of their kind, in contexts; generated from a seed.</summary>
internal sealed class OfflineFixture : IDisposable
{
    private const int Kinds = 4;

    private readonly TemporaryFolder folder = new();

    /// <param name="softLabel">Logit of a row by user, item and row number for the column <c>soft</c>; null: there is no such column.</param>
    public OfflineFixture(string distiller, int users = 40, int items = 24, int rows = 2400, Func<int, int, int, double>? softLabel = null, double noise = 0.1)
    {
        var random = new Random(5);
        foreach (var (file, count) in new[] { ("train.csv", rows), ("valid.csv", rows / 3) })
        {
            var csv = new StringBuilder(softLabel is null ? "user,context,item,label\n" : "user,context,item,label,soft\n");
            for (var r = 0; r < count; r++)
            {
                // Eight rows make an impression.
                var (user, item) = (r / 8 * 7 % users, random.Next(items));
                var label = (user % Kinds == item % Kinds) != (file == "train.csv" && random.NextDouble() < noise);
                csv.Append(CultureInfo.InvariantCulture, $"{user},c{r / 8 % 50},{item},{(label ? 1 : 0)}");
                if (softLabel is not null)
                    csv.Append(CultureInfo.InvariantCulture, $",{softLabel(user, item, r)}");
                csv.Append('\n');
            }
            File.WriteAllText(folder[file], csv.ToString());
        }
        var soft = softLabel is null ? "" : """, { "name": "soft", "type": "float" } """;
        File.WriteAllText(folder["dataset.json"], $$"""
            { "name": "tiny",
              "columns": [ { "name": "user", "type": "int64" }, { "name": "context", "type": "string" }, { "name": "item", "type": "int64" }, { "name": "label", "type": "int64" }{{soft}} ],
              "user": [ { "feature": "user", "column": "user" }, { "feature": "context", "column": "context" } ],
              "item": [ { "feature": "item", "column": "item" } ],
              "labels": [ { "target": "click", "column": "label", "positive_from": 1 } ],
              {{(softLabel is null ? "" : """ "soft_labels": [ { "teacher": "column", "target": "click", "column": "soft" } ], """)}}
              "impressions": { "group_by": [ "user", "context" ], "max_size": 8, "window_rows": 64 },
              "split": { "replay": { "files": [ "train.csv" ] }, "validation": { "files": [ "valid.csv" ] } } }
            """);
        File.WriteAllText(folder["schema.json"], """
            { "name": "tiny", "targets": [ "click" ], "features": [
              { "name": "user", "side": "user", "kind": "hash", "buckets": 512, "dim": 4 },
              { "name": "context", "side": "context", "kind": "hash", "buckets": 512, "dim": 4 },
              { "name": "item", "side": "item", "kind": "hash", "buckets": 512, "dim": 4 } ] }
            """);
        File.WriteAllText(folder["student.json"], """{ "family": "mlp", "first_layer": 8, "hidden": [ 4 ] }""");
        File.WriteAllText(folder["teacher.json"], """
            { "name": "tiny", "offline": { "embedding_dim": 4, "deep": [ 16 ], "dropout": 0, "epochs": 4, "batch_candidates": 128, "folds": 2, "rounds": 2 } }
            """);
        File.WriteAllText(folder["distiller.json"], distiller);
    }

    public string this[string name] => folder[name];

    public string Path => folder.Path;

    /// <summary>Runs a verb; its exit status and what it printed.</summary>
    public (int Exit, string Output, string Error) Run(System.CommandLine.Command command, params string[] arguments)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        var parsed = command.Parse([.. arguments]);
        Assert.Empty(parsed.Errors);
        var exit = parsed.Invoke(new System.CommandLine.InvocationConfiguration { Output = output, Error = error });
        return (exit, output.ToString(), error.ToString());
    }

    public void Dispose() => folder.Dispose();
}
