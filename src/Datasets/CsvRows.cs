using System.Globalization;
using System.IO.Compression;
using System.Text;
using CsvHelper;

namespace KdServing.Datasets;

/// <summary>Streams the rows of CSV or gzipped CSV files with a header row, one after another, typed as described.</summary>
public sealed class CsvRows(DatasetDescription description)
{
    private readonly byte[][][] _missing =
        [.. description.Columns.Select(c => c.Missing?.Select(Encoding.UTF8.GetBytes).ToArray() ?? [])];

    /// <summary>Reads the files in the order given; the same <see cref="CsvRow"/> is yielded for every row.</summary>
    /// <exception cref="DatasetException">A column or value is not as described; file and line are named.</exception>
    public IEnumerable<CsvRow> Read(IEnumerable<string> files)
    {
        var row = new CsvRow(description.Columns.Count);
        foreach (var file in files)
        {
            using var reader = Open(file);
            var positions = Positions(reader, file);
            while (Next(reader, file))
            {
                Fill(row, reader, positions, file);
                yield return row;
            }
        }
    }

    /// <summary>Number of data rows in the files.</summary>
    public long Count(IEnumerable<string> files)
    {
        long rows = 0;
        foreach (var file in files)
        {
            using var reader = Open(file);
            while (Next(reader, file))
                rows++;
        }

        return rows;
    }

    private CsvReader Open(string file)
    {
        var options = new CsvReaderOptions
        {
            Separator = description.Csv.Delimiter,
            Quote = description.Csv.Quote,
            MalformedData = CsvMalformedDataHandling.Throw,
            TrackLineNumbers = true,
            PoolStrings = true,
        };
        try
        {
            Stream stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
            if (file.EndsWith(".gz", StringComparison.Ordinal))
                stream = new GZipStream(stream, CompressionMode.Decompress);
            return CsvReader.Create(stream, options);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException($"{file}: can not be opened: {e.Message}", e);
        }
    }

    private static bool Next(CsvReader reader, string file)
    {
        try
        {
            return reader.Read();
        }
        catch (Exception e) when (e is InvalidDataException or IOException or CsvFormatException)
        {
            throw new DatasetException($"{file} after line {reader.LineNumber}: {e.Message}", e);
        }
    }

    private int[] Positions(CsvReader reader, string file)
    {
        IReadOnlyList<string> headers;
        try
        {
            headers = [.. reader.Headers];
        }
        catch (Exception e) when (e is InvalidDataException or IOException or CsvFormatException)
        {
            throw new DatasetException($"{file}: {e.Message}", e);
        }

        var positions = new int[description.Columns.Count];
        for (var c = 0; c < positions.Length; c++)
        {
            var name = description.Columns[c].Name;
            positions[c] = headers.ToList().IndexOf(name);
            if (positions[c] < 0)
                throw new DatasetException($"{file}: has no column '{name}' (its header: {string.Join(",", headers)}); correct `columns` of dataset.json.");
        }

        return positions;
    }

    private void Fill(CsvRow row, CsvReader reader, int[] positions, string file)
    {
        for (var c = 0; c < positions.Length; c++)
        {
            var column = description.Columns[c];
            if (positions[c] >= reader.FieldCount)
                throw new DatasetException($"{file} line {reader.LineNumber}: has {reader.FieldCount} fields, none for '{column.Name}'.");
            var text = reader.GetSpan(positions[c]);
            var missing = text.Length == 0 || IsMissing(text, _missing[c]);
            if (missing)
            {
                text = Encoding.UTF8.GetBytes(column.Default
                    ?? throw new DatasetException($"{file} line {reader.LineNumber}: '{column.Name}' is missing; give it a `default` in dataset.json."));
            }

            var read = true;
            switch (column.Type)
            {
                case ColumnType.Int64:
                    read = long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out row.Ints[c]);
                    break;
                case ColumnType.Float:
                    read = float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out row.Floats[c]) && float.IsFinite(row.Floats[c]);
                    break;
                default:
                    row.Texts[c] = missing ? column.Default! : reader.GetString(positions[c]);
                    break;
            }

            if (!read)
            {
                throw new DatasetException($"{file} line {reader.LineNumber}: '{column.Name}' is '{Encoding.UTF8.GetString(text)}', "
                    + $"not {(column.Type == ColumnType.Int64 ? "an int64" : "a finite float")}.");
            }
        }
    }

    private static bool IsMissing(ReadOnlySpan<byte> text, byte[][] missing)
    {
        foreach (var candidate in missing)
        {
            if (text.SequenceEqual(candidate))
                return true;
        }

        return false;
    }
}
