using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;

namespace KdServing.Distiller.Training;

/// <summary>How far the streams have been worked through, and what became of their entries. Part of the checkpoint; one thread.</summary>
/// <remarks>Its only clock is that of the streams: milliseconds in the ids that Redis gave the entries. A replay sees the same one.</remarks>
public sealed class StreamProgress
{
    // A producer that has been silent for so long no longer holds the watermark back.
    private const long LiveProducerMs = 60_000;

    private readonly Dictionary<string, StreamId> positions = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ProducerSequences> sequences = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> examined = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, long> teacherVersions = new(StringComparer.Ordinal);
    private long clockMs;

    /// <summary>Stream → the last entry whose effect is in the weights (or that was dead-lettered, held out or a repeat).</summary>
    public IReadOnlyDictionary<string, StreamId> Positions => positions;

    /// <summary>Stream → id, as versions and checkpoints name it.</summary>
    public IReadOnlyDictionary<string, string> PositionVector =>
        new SortedDictionary<string, string>(positions.ToDictionary(p => p.Key, p => p.Value.ToString()), StringComparer.Ordinal);

    public StreamCounters Counters { get; set; } = new();

    /// <summary>Batches applied.</summary>
    public long Batches { get; set; }

    /// <summary>Time from the first entry written to the last one worked through: the streams' clock, not this process's.</summary>
    public double StreamSeconds => Counters.Examined == 0 ? 0 : (clockMs - Counters.FirstEntryMs) / 1000.0;

    /// <summary>Teacher → newest version learned from.</summary>
    public IReadOnlyDictionary<string, long> TeacherVersions => teacherVersions;

    /// <summary>Records that never arrived: holes in the sequences.</summary>
    public long Missing => sequences.Values.Sum(s => s.Missing);

    /// <summary>Records that arrived again and were not applied.</summary>
    public long Repeats => sequences.Values.Sum(s => s.Repeats);

    /// <summary>Minimum over live producers of their newest event time; 0 before the first record.</summary>
    public long WatermarkMs
    {
        get
        {
            // Event time 0: nothing it wrote could be learned from.
            var producers = sequences.Values.SelectMany(s => s.Producers.Values).Where(p => p.EventTimeMs > 0).ToList();
            var live = producers.Where(p => clockMs - p.SeenAtMs < LiveProducerMs).ToList();
            return live.Count > 0 ? live.Min(p => p.EventTimeMs) : producers.Count > 0 ? producers.Max(p => p.EventTimeMs) : 0;
        }
    }

    /// <summary>The last entry of a stream that was worked through.</summary>
    public StreamId Position(string stream) => positions.GetValueOrDefault(stream);

    /// <summary>Entries of a stream worked through since the model began.</summary>
    public long Examined(string stream) => examined.GetValueOrDefault(stream);

    /// <summary>Notes that an entry was worked through.</summary>
    public void Advance(string stream, StreamId id)
    {
        positions[stream] = id;
        clockMs = Math.Max(clockMs, id.Ms);
        examined[stream] = Examined(stream) + 1;
    }

    /// <summary>Producers of one stream.</summary>
    public ProducerSequences Sequences(string stream) =>
        sequences.TryGetValue(stream, out var found) ? found : sequences[stream] = new();

    /// <summary>Notes a record that is applied; a teacher's new version is announced.</summary>
    public void Observe(TeacherRecord record)
    {
        foreach (var output in record.Outputs)
        {
            var (teacher, version) = (output.Teacher, output.TeacherVersion);
            var isKnown = teacherVersions.TryGetValue(teacher, out var newest);
            if (isKnown && version <= newest)
                continue;
            teacherVersions[teacher] = version;
            // Some teachers have a new one each second.
            DistillerLog.InfoSometimes($"version of {teacher}", $"teacher {teacher} has {(isKnown ? $"a new version, {version}; before it {newest}" : $"version {version}")}", seconds: 30);
        }
    }

    /// <summary>As a checkpoint holds it.</summary>
    public IReadOnlyDictionary<string, StreamState> Save() => new SortedDictionary<string, StreamState>(
        positions.ToDictionary(p => p.Key, p => Sequences(p.Key) is var s
            ? new StreamState(p.Value.ToString(), Examined(p.Key), s.Missing, s.Repeats, new SortedDictionary<string, ProducerSequences.ProducerState>(s.Producers.ToDictionary(), StringComparer.Ordinal))
            : null!), StringComparer.Ordinal);

    /// <summary>Continues from a checkpoint.</summary>
    public void Restore(CheckpointManifest manifest)
    {
        positions.Clear();
        sequences.Clear();
        teacherVersions.Clear();
        clockMs = 0;
        foreach (var (stream, state) in manifest.Streams)
        {
            positions[stream] = StreamId.Parse(state.Position);
            examined[stream] = state.Examined;
            clockMs = Math.Max(clockMs, positions[stream].Ms);
            Sequences(stream).Restore(state.Producers, state.Missing, state.Repeats);
        }
        Counters = manifest.Counters;
        Batches = manifest.Batches;
        foreach (var (teacher, version) in manifest.TeacherVersions)
            teacherVersions[teacher] = version;
    }
}
