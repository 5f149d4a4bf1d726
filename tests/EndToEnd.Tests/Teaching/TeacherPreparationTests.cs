using System.Text.Json;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Teachers;
using KdServing.LoadTests.Teaching;

namespace KdServing.EndToEnd.Tests.Teaching;

public sealed class TeacherPreparationTests : IDisposable
{
    private const double Budget = 60;
    private readonly TeachingFixture fixture = new();

    [Fact]
    public void FindsAPreparedTeacherAgain()
    {
        using var teacher = fixture.NewTeacher();
        Assert.Null(Cache(teacher).TryLoad(teacher));
        var report = new TeacherPreparation(fixture.Reader, teacher, Budget).Run(CancellationToken.None);
        Assert.Equal(64, report.Impressions);
        Cache(teacher).Save(teacher, report);

        using var again = fixture.NewTeacher();
        Assert.NotEqual(Logits(teacher), Logits(again));
        Assert.Equal(report, Cache(again).TryLoad(again));
        Assert.Equal(Logits(teacher), Logits(again));
        // The optimisers' state came along: the next step is the same one too.
        Assert.Equal(LogitsAfterAStep(teacher), LogitsAfterAStep(again));
    }

    [Fact]
    public void PreparesAnewWhenAnythingChanges()
    {
        using var teacher = fixture.NewTeacher();
        var key = Cache(teacher).Key;
        Assert.Equal(key, Cache(teacher).Key);
        Assert.NotEqual(key, Cache(teacher, seed: 2).Key);
        Assert.NotEqual(key, Cache(teacher, budget: Budget + 1).Key);
        using var wider = new Teacher(fixture.FeatureSchema, fixture.Config with { Deep = [17] }, 1);
        Assert.NotEqual(key, Cache(wider).Key);
        fixture.WriteDataset(seed: 4);
        Assert.NotEqual(key, Cache(teacher).Key);
    }

    [Fact]
    public void KeyFollowsTheContentOfTheFiles()
    {
        var data = Directory.CreateDirectory(Path.Combine(fixture.Folder, "files")).FullName;
        File.WriteAllText(Path.Combine(data, "dataset.json"), """
            { "name": "files", "columns": [ { "name": "u", "type": "int64" }, { "name": "i", "type": "int64" }, { "name": "y", "type": "int64" } ],
              "user": [ { "feature": "u", "column": "u" } ], "item": [ { "feature": "i", "column": "i" } ],
              "labels": [ { "target": "click", "column": "y", "positive_from": 1 } ], "impressions": { "group_by": ["u"] },
              "split": { "preparation": { "files": ["a.csv"] }, "replay": { "files": ["b.csv"] } } }
            """);
        File.WriteAllText(Path.Combine(data, "a.csv"), "u,i,y\n1,2,1\n");
        File.WriteAllText(Path.Combine(data, "b.csv"), "u,i,y\n1,2,1\n");
        using var teacher = fixture.NewTeacher();
        string Key() => new TeacherCache(fixture.Folder, DatasetReader.Open(data, data), data, teacher, 1, Budget).Key;
        var key = Key();
        File.WriteAllText(Path.Combine(data, "b.csv"), "u,i,y\n1,3,1\n");
        Assert.Equal(key, Key());
        File.WriteAllText(Path.Combine(data, "a.csv"), "u,i,y\n1,3,1\n");
        Assert.NotEqual(key, Key());
    }

    [Fact]
    public void DoesNotTrustADamagedFile()
    {
        using var teacher = fixture.NewTeacher();
        Cache(teacher).Save(teacher, new(1, 0, 1, null, null, null));
        var weights = Directory.GetFiles(fixture.Folder, "teacher.safetensors", SearchOption.AllDirectories).Single();
        using (var file = File.OpenWrite(weights))
            file.SetLength(file.Length / 2);
        Assert.Null(Cache(teacher).TryLoad(teacher));
    }

    // Generated labels follow a hint that only the teacher sees: what it has learned must show.
    [Fact]
    public void LearnsTheHint()
    {
        using var teacher = fixture.NewTeacher();
        var batch = teacher.NewBatch();
        var metrics = new ProgressiveMetrics(correctLogQ: true);
        for (var epoch = 0; epoch < 6; epoch++)
        {
            metrics.Clear();
            foreach (var impressions in fixture.Reader.Read(DatasetPart.Replay).Chunk(8))
            {
                batch.Clear();
                foreach (var impression in impressions)
                    batch.Add(impression.ToTeacherRecord("", 0, fixture.FeatureSchema.Fingerprint));
                using var scored = teacher.Score(batch);
                for (var i = 0; i < impressions.Length; i++)
                    metrics.Add(scored.Logits(i, 0), impressions[i].LabelStates("click"), impressions[i].SamplingLogQ);
                scored.Learn();
            }
        }
        Assert.True(metrics.Gauc > 0.7, metrics.ToString());
    }

    [Fact]
    public void StopsWhenAsked()
    {
        using var teacher = fixture.NewTeacher();
        using var cancellation = new CancellationTokenSource();
        var preparation = new TeacherPreparation(fixture.Reader, teacher, Budget) { Progress = (_, _, _) => cancellation.Cancel() };
        Assert.Throws<OperationCanceledException>(() => preparation.Run(cancellation.Token));
    }

    [Theory]
    [InlineData("""{ "deep": [0] }""", "deep")]
    [InlineData("""{ "learning_rate": 0 }""", "learning_rate")]
    [InlineData("""{ "cross_layers": 0, "deep": [] }""", "deep")]
    [InlineData("""{ "hard_label": { "origins": ["seen"] } }""", "hard_label.origins[0]")]
    [InlineData("""{ "batchsize": 3 }""", "teacher.json")]
    public void RefusesABadConfiguration(string json, string field)
    {
        var path = Path.Combine(fixture.Folder, "teacher.json");
        File.WriteAllText(path, json);
        var fault = Assert.Throws<ContractException>(() => TeacherConfig.Load(path));
        Assert.Contains(field, fault.Message, StringComparison.Ordinal);
    }

    // A sample without a teacher could not be replayed.
    [Fact]
    public void EverySampleDescribesATeacher()
    {
        var root = SampleCatalog.FindRoot();
        Assert.NotEmpty(SampleCatalog.Names(root));
        foreach (var sample in SampleCatalog.Names(root))
        {
            using var teacher = new Teacher(
                FeatureSchema.Load(Path.Combine(root, sample, "schema.json")), TeacherConfig.Load(Path.Combine(root, sample, "teacher.json")), 1);
            Assert.True(teacher.ParameterCount > 0);
        }
    }

    // Were the teacher's labels treated otherwise than the student's, "student minus labels only" would measure that as well.
    [Fact]
    public void TeacherAndStudentTreatLabelsAlike()
    {
        var root = SampleCatalog.FindRoot();
        foreach (var sample in SampleCatalog.Names(root))
        {
            using var distiller = JsonDocument.Parse(File.ReadAllText(Path.Combine(root, sample, "distiller.json")));
            var student = distiller.RootElement.GetProperty("hard_label").Deserialize<HardLabelConfig>(ContractJson.Options)!;
            var teacher = TeacherConfig.Load(Path.Combine(root, sample, "teacher.json")).HardLabel;
            Assert.Equal(student.Origins, teacher.Origins);
            Assert.Equal((sample, student.LogQCorrection), (sample, teacher.LogQCorrection));
        }
    }

    public void Dispose() => fixture.Dispose();

    private TeacherCache Cache(Teacher teacher, ulong seed = 1, double budget = Budget) =>
        new(Path.Combine(fixture.Folder, "cache"), fixture.Reader, fixture.Folder, teacher, seed, budget);

    private float[] Logits(Teacher teacher)
    {
        using var scored = teacher.Score(Batch(teacher));
        return scored.Logits(3, 0);
    }

    private float[] LogitsAfterAStep(Teacher teacher)
    {
        using (var scored = teacher.Score(Batch(teacher)))
            scored.Learn();
        return Logits(teacher);
    }

    private Distiller.Training.FeatureBatch Batch(Teacher teacher)
    {
        var batch = teacher.NewBatch();
        foreach (var impression in fixture.Reader.Read(DatasetPart.Replay).Take(8))
            batch.Add(impression.ToTeacherRecord("", 0, fixture.FeatureSchema.Fingerprint));
        return batch;
    }
}
