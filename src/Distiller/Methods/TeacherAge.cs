using KdServing.Distiller.Training;

namespace KdServing.Distiller.Methods;

/// <summary>Old labels of a teacher weigh less: ½ for each half-life that its version, or the record's time, lies behind the newest seen.</summary>
/// <remarks>
/// A record weighs as a whole: every candidate of it in pointwise and pairwise losses, its session in losses over lists. A label older
/// than the limit is refused (weight 0). The newest of each is kept in <see cref="Method.Counters"/>: a restored learner ages alike.
/// </remarks>
internal sealed class TeacherAge : MethodPart
{
    private const string NewestTime = "age.event_time_ms";

    private readonly PartContext context;
    private readonly AgeOptions options;

    public TeacherAge(PartContext context, AgeOptions options)
    {
        this.context = context;
        this.options = options;
    }

    public override void Run(LearningStep step)
    {
        var batch = step.Batch;
        foreach (var time in batch.EventTimes)
            Raise(NewestTime, time);
        for (var s = 0; s < context.Sources.Count; s++)
        {
            var newest = $"age.version.{context.Sources[s].Teacher ?? SoftLabelSource.AnyTeacher}";
            foreach (var version in batch.TeacherVersions(s))
                Raise(newest, version);
            var weights = new float[batch.Records];
            for (var u = 0; u < weights.Length; u++)
            {
                var versions = context.Counters[newest] - batch.TeacherVersions(s)[u];
                var seconds = (context.Counters[NewestTime] - batch.EventTimes[u]) / 1000.0;
                weights[u] = (float)Weight(versions, seconds, options);
            }
            step.WeighRecords(s, weights);
        }
    }

    /// <param name="versions">How many versions the label's teacher is behind.</param>
    /// <param name="seconds">How long its record lies behind, in event time.</param>
    internal static double Weight(double versions, double seconds, AgeOptions options)
    {
        if (versions > options.MaxVersions || seconds > options.MaxSeconds)
            return 0;
        var halves = (options.HalfLifeVersions is { } v ? versions / v : 0) + (options.HalfLifeSeconds is { } s ? seconds / s : 0);
        return Math.Pow(0.5, halves);
    }

    private void Raise(string counter, long value)
    {
        if (!context.Counters.TryGetValue(counter, out var newest) || value > newest)
            context.Counters[counter] = value;
    }
}
