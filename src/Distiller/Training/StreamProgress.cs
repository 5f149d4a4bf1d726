using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;

namespace KdServing.Distiller.Training;

/// <summary>How far the stream has been worked through, and what became of its entries. Part of the checkpoint; one thread.</summary>
public sealed class StreamProgress
{
    // A producer that has been silent for so long no longer holds the watermark back.
    private const long LiveProducerMs = 60_000;

    private readonly Dictionary<string, long> teacherVersions = [];
    private readonly Dictionary<string, long> seenAtMs = [];

    /// <summary>The last entry whose effect is in the weights (or that was dead-lettered, held out or a repeat).</summary>
    public StreamId Position { get; set; }

    public ProducerSequences Sequences { get; } = new();

    public StreamCounters Counters { get; set; } = new();

    /// <summary>Time from the first entry written to the last one worked through: the stream's clock, not this process's.</summary>
    public double StreamSeconds => Counters.Examined == 0 ? 0 : (Position.Ms - Counters.FirstEntryMs) / 1000.0;

    /// <summary>Teacher → newest version learned from.</summary>
    public IReadOnlyDictionary<string, long> TeacherVersions => teacherVersions;

    /// <summary>Minimum over live producers of their newest event time; 0 before the first record.</summary>
    public long WatermarkMs
    {
        get
        {
            var now = Environment.TickCount64;
            var live = Sequences.Producers.Where(p => now - seenAtMs.GetValueOrDefault(p.Key, long.MinValue / 2) < LiveProducerMs).ToList();
            return live.Count > 0 ? live.Min(p => p.Value.EventTimeMs)
                : Sequences.Producers.Count > 0 ? Sequences.Producers.Max(p => p.Value.EventTimeMs) : 0;
        }
    }

    /// <summary>Notes a record that is applied.</summary>
    public void Observe(TeacherRecord record)
    {
        seenAtMs[record.ProducerId] = Environment.TickCount64;
        foreach (var output in record.Outputs)
            teacherVersions[output.Teacher] = Math.Max(output.TeacherVersion, teacherVersions.GetValueOrDefault(output.Teacher));
    }

    /// <summary>Continues from a checkpoint.</summary>
    public void Restore(CheckpointManifest manifest, string streamKey)
    {
        Position = manifest.Position.TryGetValue(streamKey, out var id) ? StreamId.Parse(id) : StreamId.Zero;
        Sequences.Restore(manifest.Producers, manifest.Missing, manifest.Repeats);
        Counters = manifest.Counters;
        teacherVersions.Clear();
        foreach (var (teacher, version) in manifest.TeacherVersions)
            teacherVersions[teacher] = version;
    }
}
