using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.LoadTests.Teaching;

/// <summary>How far a replay has come: what a restarted teacher needs to go on. Kept beside the status file.</summary>
/// <param name="Dataset">Name of the data replayed.</param>
/// <param name="EventTimeMs">Event time of the last record written.</param>
/// <param name="AtEventTime">Records written with exactly this event time.</param>
/// <param name="Produced">Records written in all.</param>
/// <param name="StreamedSeconds">Streaming time used so far.</param>
/// <param name="TeacherVersion">Version of the last record.</param>
/// <param name="Finished">The replay ended as asked; a new start begins anew.</param>
public sealed record ReplayPosition(
    string Dataset, long EventTimeMs, int AtEventTime, long Produced, double StreamedSeconds, long TeacherVersion, bool Finished)
{
    public static ReplayPosition Start(string dataset) => new(dataset, long.MinValue, 0, 0, 0, 0, false);

    /// <summary>The position in a file, or the start when there is none to continue.</summary>
    public static ReplayPosition Load(string? path, string dataset)
    {
        if (path is null || !File.Exists(path))
            return Start(dataset);
        try
        {
            var position = JsonSerializer.Deserialize<ReplayPosition>(File.ReadAllBytes(path), ContractJson.Options);
            return position is { Finished: false } && position.Dataset == dataset ? position : Start(dataset);
        }
        catch (JsonException)
        {
            Console.Error.WriteLine($"kd teach: {path} can not be read; the replay starts from its beginning");
            return Start(dataset);
        }
    }

    /// <summary>The position after one more record.</summary>
    public ReplayPosition After(TeacherRecord record) => this with
    {
        EventTimeMs = record.EventTimeMs,
        AtEventTime = record.EventTimeMs == EventTimeMs ? AtEventTime + 1 : 1,
        Produced = Produced + 1,
        TeacherVersion = record.Outputs[0].TeacherVersion,
    };

    /// <summary>Puts the file in place at once. No flush to the disk: it need outlive the process, not the machine.</summary>
    public void Save(string? path)
    {
        if (path is null)
            return;
        var temporary = path + ".tmp";
        File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(this, ContractJson.Options));
        File.Move(temporary, path, overwrite: true);
    }
}
