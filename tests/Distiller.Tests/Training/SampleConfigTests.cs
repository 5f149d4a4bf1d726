using KdServing.Contracts;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Training;

public sealed class SampleConfigTests
{
    public static TheoryData<string> Samples => [.. Directory.GetDirectories(Root).Select(p => Path.GetFileName(p)!).Order()];

    [Theory]
    [MemberData(nameof(Samples))]
    public void Every_sample_can_be_trained(string sample)
    {
        var folder = Path.Combine(Root, sample);
        var schema = FeatureSchema.Load(Path.Combine(folder, "schema.json"));
        var config = DistillerConfig.Parse(File.ReadAllText(Path.Combine(folder, "distiller.json")));

        using var cohort = new Cohort(schema, StudentConfig.Parse(File.ReadAllText(Path.Combine(folder, "student.json"))), config);

        Assert.Equal(sample, config.Model);
        Assert.NotNull(cohort.LabelsOnly);
        Assert.True(cohort.Student.Student.ParameterCount > 0);
    }

    private static string Root
    {
        get
        {
            var folder = new DirectoryInfo(AppContext.BaseDirectory);
            while (!File.Exists(Path.Combine(folder!.FullName, "KdServing.sln")))
                folder = folder.Parent;
            return Path.Combine(folder.FullName, "samples");
        }
    }
}
