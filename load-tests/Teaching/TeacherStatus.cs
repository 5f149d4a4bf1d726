using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.LoadTests.Teaching;

public enum TeacherPhase
{
    Preparing,
    Streaming,
    Done,
    Stopped,
}

/// <summary>What <c>--status FILE</c> holds; see <see cref="StatusReport"/>.</summary>
public sealed record TeacherStatus
{
    public string Process { get; init; } = "teacher";

    public int Pid { get; init; } = Environment.ProcessId;

    public long UpdatedAtMs { get; init; }

    public TeacherPhase Phase { get; init; }

    /// <summary>0 to 1 of the preparation, then of the streaming time when it is limited.</summary>
    public double Progress { get; init; }

    /// <summary>Records written, over all runs of this replay.</summary>
    public long Produced { get; init; }

    public double RecordsPerSecond { get; init; }

    /// <summary>Records a second aimed at; null: as fast as it goes.</summary>
    public double? TargetRate { get; init; }

    public long TeacherVersion { get; init; }

    public long EventTimeMs { get; init; }

    /// <summary>Of the logits as streamed, since this process started.</summary>
    public double? Auc { get; init; }

    public double? Gauc { get; init; }

    public double? Logloss { get; init; }

    /// <summary>Share of the time not spent waiting.</summary>
    public double BusyShare { get; init; }

    /// <summary>Times an append was repeated because Redis was away.</summary>
    public long Retries { get; init; }

    /// <summary>Times the stream was full and the teacher waited.</summary>
    public long Waits { get; init; }
}

/// <summary>Writes the status file once a second from a thread of its own, so that a wait shows. The last one is written by <see cref="Dispose"/>.</summary>
public sealed class StatusReport : IDisposable
{
    private readonly string? path;
    private readonly Timer? timer;
    private readonly Lock gate = new();
    private volatile TeacherStatus status = new();

    /// <param name="path">Null: no file.</param>
    public StatusReport(string? path)
    {
        this.path = path;
        if (path is null)
            return;
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        timer = new Timer(_ => Write(), null, TimeSpan.Zero, TimeSpan.FromSeconds(1));
    }

    /// <summary>What the next write says.</summary>
    public TeacherStatus Current
    {
        get => status;
        set => status = value;
    }

    public void Dispose()
    {
        timer?.Dispose();
        Write();
    }

    private void Write()
    {
        if (path is null)
            return;
        lock (gate)
        {
            var temporary = path + ".tmp";
            try
            {
                File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(
                    status with { UpdatedAtMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() }, ContractJson.Options));
                File.Move(temporary, path, overwrite: true);
            }
            catch (IOException e)
            {
                // A full disk must not end the stream; the file grows stale, which its reader sees.
                Console.Error.WriteLine($"kd teach: status not written: {e.Message}");
            }
        }
    }
}
