using System.Globalization;
using System.Text;

namespace KdServing.Benchmarks.Refreshes;

/// <summary>What one kind of refresh costs, medians.</summary>
internal sealed record RefreshRow
{
    /// <summary>Of all tables.</summary>
    public required long Rows { get; init; }

    /// <summary>Share of the rows that a delta changed; null: a base.</summary>
    public required double? Share { get; init; }

    /// <summary>Forking the tables, on the training thread.</summary>
    public required double DraftMs { get; init; }

    /// <summary>Writing, checking and flushing the version.</summary>
    public required double WriteMs { get; init; }

    /// <summary>Of <c>rows.bin</c>.</summary>
    public required long RowBytes { get; init; }

    /// <summary>Of all files.</summary>
    public required long VersionBytes { get; init; }

    /// <summary>A delta over the version in service, a base from nothing; the files in the page cache.</summary>
    public required double LoadMs { get; init; }

    public required double SwapUs { get; init; }

    /// <summary>Resident memory the loaded version added, the one before it kept (as a server keeps it).</summary>
    public required double AddedMb { get; init; }

    /// <summary>The rows as a Markdown table.</summary>
    public static string Table(IReadOnlyList<RefreshRow> rows)
    {
        var text = new StringBuilder("| rows | changed | draft ms | write ms | rows.bin MB | version MB | load ms | swap µs | memory added MB |\n|---|---|---|---|---|---|---|---|---|\n");
        foreach (var row in rows)
        {
            text.AppendLine(CultureInfo.InvariantCulture,
                $"| {row.Rows:N0} | {row.Changed} | {row.DraftMs:0.00} | {row.WriteMs:0} | {row.RowBytes / 1e6:0.00} | {row.VersionBytes / 1e6:0.00} | {row.LoadMs:0.0} | {row.SwapUs:0.0} | {row.AddedMb:0.0} |");
        }
        return text.ToString();
    }

    private string Changed => Share is { } share ? share.ToString("0.###%", CultureInfo.InvariantCulture) : "base";
}
