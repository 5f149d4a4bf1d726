using System.Text;
using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.EndToEnd.Tests.Data;

/// <summary>Every sample's dataset.json, read over made-up files of its columns, must give records its schema.json accepts.</summary>
public class SampleTests
{
    public static TheoryData<string> Names => [.. SampleCatalog.Names(SampleCatalog.FindRoot())];

    [Theory]
    [MemberData(nameof(Names))]
    public void Impressions_fit_the_schema(string name)
    {
        var samples = SampleCatalog.FindRoot();
        var description = DatasetDescription.Load(Path.Combine(samples, name, SampleCatalog.DescriptionFile));
        var schema = FeatureSchema.Load(Path.Combine(samples, name, "schema.json"));
        var folder = Path.Combine(Directory.CreateTempSubdirectory("kd-sample-").FullName, name);
        try
        {
            Directory.CreateDirectory(folder);
            WriteFiles(description, folder);
            var reader = DatasetReader.Open(folder, samples);

            var count = 0;
            foreach (var impression in reader.Read(DatasetPart.Preparation, DatasetPart.Replay).Take(500))
            {
                var record = impression.ToTeacherRecord("teacher", (ulong)++count, schema.Fingerprint);
                foreach (var target in schema.Targets)
                    record.Outputs.Add(new TeacherOutput { Teacher = "t", Target = target, Logits = { new float[impression.CandidateCount] } });
                TeacherRecordValidation.Require(record, schema);
                Assert.Equal(schema.Privileged.Features.Select(f => f.Name).Order(), record.Privileged.Select(c => c.Name).Order());
                Assert.Equal(schema.Targets.Order(), record.Labels.Select(l => l.Target).Order());
            }

            Assert.True(count > 50, $"only {count} impressions");
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(folder)!, recursive: true);
        }
    }

    private static void WriteFiles(DatasetDescription description, string folder)
    {
        var random = new SplitMix64(1);
        var timeMs = 1_507_000_000_000L;
        foreach (var file in description.Split.Values.SelectMany(s => s.Files).Distinct().Order())
        {
            var text = new StringBuilder(string.Join(description.Csv.Delimiter, description.Columns.Select(c => c.Name)) + "\n");
            for (var row = 0; row < 300; row++)
            {
                timeMs += random.Next(4000);
                var fields = description.Columns.Select(column =>
                    column.Name == description.Time?.Column ? (timeMs / (description.Time.Unit == TimeUnit.S ? 1000 : 1)).ToString()
                    : column.Type == ColumnType.Float ? $"{random.Next(10) / 2.0}"
                    : $"{random.Next(description.Labels.Any(l => l.Column == column.Name) ? 2 : 30)}");
                text.AppendJoin(description.Csv.Delimiter, fields).Append('\n');
            }

            using var stream = File.Create(Path.Combine(folder, file));
            using var gzip = new System.IO.Compression.GZipStream(stream, System.IO.Compression.CompressionLevel.Fastest);
            gzip.Write(Encoding.UTF8.GetBytes(text.ToString()));
        }
    }
}
